"""Each command about promotions, with each fault of each outside thing: nothing changes, and there is one clear message."""

from __future__ import annotations

import pytest

from tests.faults import checks
from tests.faults.scenarios import PROMOTIONS, SCENARIOS


def test_the_tables_are_large():
    assert len(checks.combinations(SCENARIOS)) >= 400


@pytest.mark.parametrize("name", PROMOTIONS)
def test_the_table_has_every_thing_that_a_command_talks_to(world, name):
    checks.asks_what_the_table_says(world, name)


@pytest.mark.parametrize(("name", "thing", "fault"), checks.cases(PROMOTIONS))
def test_a_command_that_cannot_ask_changes_nothing_and_says_why(world, monkeypatch, name, thing, fault):
    checks.is_safe(world, monkeypatch, name, thing, fault)


@pytest.mark.parametrize(("name", "thing", "fault"), checks.indifferent(PROMOTIONS))
def test_a_command_is_not_stopped_by_what_decides_nothing(world, monkeypatch, name, thing, fault):
    checks.is_not_stopped(world, monkeypatch, name, thing, fault)
