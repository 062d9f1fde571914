"""The checks of one command line, and the parameters of all combinations, which two modules of tests share.

They are two modules so that two processes run them: pytest gives each process a whole module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.hurry import hurry
from tests.faults.injector import Fault, Rule
from tests.faults.safety import violations
from tests.faults.scenarios import SCENARIOS
from tests.faults.things import API

if TYPE_CHECKING:
    from collections.abc import Iterable


def combinations(names: Iterable[str]) -> list[tuple[str, str, Fault]]:
    """Returns each command line with each fault of each thing without whose answer it must change nothing."""
    own = [name for name in names if not SCENARIOS[name].like]
    return [(name, thing, fault) for name in own for thing in sorted(SCENARIOS[name].talks_to) for fault in Fault]


def cases(names: Iterable[str]) -> list[object]:
    """Returns the parameters of the combinations. `tests.faults` finds the three parts in their ids."""
    return [pytest.param(name, thing, fault, id=f"{name} | {thing} | {fault}") for name, thing, fault in combinations(names)]


def indifferent(names: Iterable[str]) -> list[object]:
    """Returns the parameters for the things whose answers decide nothing, for the commands that change something."""
    return [
        pytest.param(name, thing, fault, id=f"{name}, {thing}, {fault}")
        for name in names
        for thing in sorted(SCENARIOS[name].indifferent if SCENARIOS[name].changes else ())
        for fault in Fault
    ]


def asks_what_the_table_says(world, name) -> None:
    """Checks that the table has all things that a command asks, and those that it asks only after a change."""
    scenario = SCENARIOS[name]
    scenario.prepare(world)
    outcome, early, every = world.asked_before_a_change(*scenario.words.split())
    assert outcome.code == scenario.code, outcome
    assert early == scenario.talks_to | scenario.indifferent, "a thing that is missing here is one whose faults nobody tests"
    assert every - early == scenario.asks_later
    assert not scenario.like or early <= SCENARIOS[scenario.like].talks_to | SCENARIOS[scenario.like].indifferent


def is_safe(world, monkeypatch, name, thing, fault) -> None:
    """Checks that a command that cannot ask a thing changes nothing and says why."""
    pattern = SCENARIOS[name].api_requests if thing.startswith(API) else ""
    outcome, before = _run(world, monkeypatch, name, thing, Rule(fault=fault, pattern=pattern))
    assert not pattern or world.proxies[thing].hits, "the fault has hit no request"
    problems = list(violations(outcome, before, world.snapshot(), shown=thing in SCENARIOS[name].shows))
    assert not problems, "\n".join([*problems, outcome.err, outcome.out])


def is_not_stopped(world, monkeypatch, name, thing, fault) -> None:
    """Checks that a command changes what it should, although a thing whose answer decides nothing cannot be asked."""
    outcome, before = _run(world, monkeypatch, name, thing, Rule(fault=fault))
    assert (outcome.code, outcome.traceback) == (SCENARIOS[name].code, ""), outcome
    after = world.snapshot()
    changed = {kind for kind in before if after[kind] != before[kind]}
    assert changed == SCENARIOS[name].changes, outcome


def _run(world, monkeypatch, name, thing, rule):
    hurry(monkeypatch, thing, rule.fault)
    SCENARIOS[name].prepare(world)
    before = world.snapshot()
    with world.proxies[thing].failing(rule):
        outcome = world.run(*SCENARIOS[name].words.split())
    return outcome, before
