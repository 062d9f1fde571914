"""Each command, with each fault of each outside thing that it talks to: nothing changes, and there is one clear message."""

from __future__ import annotations

import pytest

from tests.faults.bugs import bug_of
from tests.faults.hurry import hurry
from tests.faults.injector import Fault, Rule
from tests.faults.safety import violations
from tests.faults.scenarios import SCENARIOS

COMBINATIONS = [
    (name, thing, fault) for name, scenario in SCENARIOS.items() for thing in sorted(scenario.talks_to) for fault in Fault
]


def test_the_table_is_large():
    assert len(COMBINATIONS) >= 200


def _case(name, thing, fault):
    bug = bug_of(name, thing, fault)
    marks = [pytest.mark.xfail(strict=True, reason=bug.reason)] if bug else []
    return pytest.param(name, thing, fault, id=f"{name} | {thing} | {fault}", marks=marks)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_table_has_every_thing_that_a_command_talks_to(world, name):
    scenario = SCENARIOS[name]
    scenario.prepare(world)
    outcome, early, every = world.asked_before_a_change(*scenario.words.split())
    assert outcome.code == scenario.code, outcome
    assert early == scenario.talks_to, "a thing that is missing here is a thing whose faults nobody tests"
    assert every - early == scenario.asks_later


@pytest.mark.parametrize(("name", "thing", "fault"), [_case(*combination) for combination in COMBINATIONS])
def test_a_command_that_cannot_ask_changes_nothing_and_says_why(world, monkeypatch, name, thing, fault):
    scenario = SCENARIOS[name]
    hurry(monkeypatch)
    scenario.prepare(world)
    before = world.snapshot()
    with world.proxies[thing].failing(Rule(fault=fault)):
        outcome = world.run(*scenario.words.split())
    problems = list(violations(outcome, before, world.snapshot(), shown=thing in scenario.shows))
    assert not problems, "\n".join([*problems, outcome.err, outcome.out])
