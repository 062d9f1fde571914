"""`modelstack history`: the versions that answered, from the engine's records of updates."""

from __future__ import annotations

import json
import types
from datetime import UTC, datetime

import pytest

from common.errors import UserError
from delivery.environments import history
from delivery.stacks import backend, stack, stack_file, updates
from tests.releases import RUN, approved, image, released


def update(day, block=None, kind="update", *, emptied=False):
    """An update at noon of a day of October."""
    releases = {"markdown": block} if block else {}
    ended = datetime(2026, 10, day, 12, tzinfo=UTC)
    return updates.Update(kind=kind, ended=ended, succeeded=True, emptied=emptied, releases=releases)


UPDATES = [
    update(1),
    update(2, released(3)),
    update(3, released(3)),
    update(4, released(3, 4, canary={"version": 4, "percent": 10})),
    update(5, approved("prod", released(4, 3))),
    update(6, kind="refresh"),
    update(6, kind="destroy"),  # of some targets
    update(7, kind="destroy", emptied=True),
]


def test_the_history_has_one_entry_for_each_change_of_the_variants():
    found = list(history.entries_of(reversed(UPDATES), "markdown"))
    assert [(int(entry.since[8:10]), entry.stable, entry.canary) for entry in found] == [
        (2, 3, ""),
        (4, 3, "4 (10 %)"),
        (5, 4, ""),
        (7, None, ""),
    ]
    assert (found[0].run, found[0].image) == (RUN, image(3))
    assert found[2].approved_by == "approver@example.com"
    assert list(history.entries_of(UPDATES, "forecast")) == [], "a workload that was never released has no history"


@pytest.mark.parametrize(
    ("at", "stable"),
    [("2026-10-01", []), ("2026-10-02", [3]), ("2026-10-02T11:00:00Z", []), ("2026-10-06", [4]), ("2026-10-08", [])],
)
def test_the_entry_at_a_time_comes_from_the_last_update_before_it(at, stable):
    entries = list(history.entries_of(UPDATES, "markdown"))
    assert [entry.stable for entry in history.entries_at(entries, history.parse_time(at))] == stable


def test_text_that_is_not_a_date_is_refused_with_an_example():
    with pytest.raises(UserError, match="2026-10-01"):
        history.parse_time("last tuesday")


def test_an_update_is_converted_from_the_record_of_the_engine():
    value = types.SimpleNamespace(value='{"markdown": {"stable": 3}}')
    made = {"kind": "update", "end_time": datetime(2026, 10, 1, tzinfo=UTC), "result": "failed", "resource_changes": {}}
    found = updates.from_summary(types.SimpleNamespace(**made, config={stack_file.RELEASES: value}))
    assert (found.succeeded, found.releases["markdown"]["stable"], found.emptied) == (False, 3, False)
    assert updates.from_summary(types.SimpleNamespace(**made, config={})).releases == {}


@pytest.mark.parametrize(("changes", "emptied"), [({"delete": 60}, True), ({"delete": 1, "same": 59}, False)])
def test_only_a_destroy_without_remaining_resources_empties_the_stack(changes, emptied):
    made = {"kind": "destroy", "end_time": datetime(2026, 10, 1, tzinfo=UTC), "result": "succeeded", "config": {}}
    assert updates.from_summary(types.SimpleNamespace(**made, resource_changes=changes)).emptied == emptied


def test_the_error_for_a_missing_stack_file_differs_from_the_error_for_a_stack_that_is_not_up():
    with pytest.raises(UserError, match=r"no such stack file"):
        history.history("nowhere", "markdown", at=None, as_json=False)


@pytest.fixture
def recorded(monkeypatch):
    """The records of prod, which is up; other stacks are not. The list can be changed."""
    records = list(reversed(UPDATES[:5]))
    monkeypatch.setattr(backend, "stacks", lambda: ["prod"])
    opened = types.SimpleNamespace(updates=lambda: records)
    monkeypatch.setattr(stack, "Stack", types.SimpleNamespace(select=lambda _name: opened))
    return records


def shown(capsys, at=None, *, as_json=False, workload="markdown"):
    history.history("prod", workload, at=at, as_json=as_json)
    return capsys.readouterr().out


def test_the_table_has_the_newest_entry_first_and_says_who_approved(recorded, capsys):
    title, *lines = [" ".join(line.split()) for line in shown(capsys).splitlines()]
    assert title == "since (UTC) stable run image canary shadow approved by"
    run, digest = RUN[:12], "0" * 12
    assert lines == [
        f"2026-10-05 12:00:00 4 {run} {digest} approver@example.com",
        f"2026-10-04 12:00:00 3 {run} {digest} 4 (10 %)",
        f"2026-10-02 12:00:00 3 {run} {digest}",
    ]


def test_json_has_the_identifiers_in_full(recorded, capsys):
    newest, *_, oldest = json.loads(shown(capsys, as_json=True))
    assert (newest["stable"], newest["image"], oldest["since"]) == (4, image(4), "2026-10-02T12:00:00Z")


def test_at_shows_the_one_entry_of_that_time(recorded, capsys):
    (entry,) = json.loads(shown(capsys, "2026-10-04", as_json=True))
    assert (entry["stable"], entry["canary"]) == (3, "4 (10 %)")
    assert json.loads(shown(capsys, "2026-10-01", as_json=True)) == [], "a program gets an empty list, not a sentence"


def test_a_destroyed_endpoint_is_an_entry_of_its_own(recorded, capsys):
    recorded[:] = reversed(UPDATES)
    assert "2026-10-07 12:00:00  none" in shown(capsys)


@pytest.mark.parametrize(("at", "ending"), [(None, "in prod."), ("2026-10-01", "in prod at 2026-10-01.")])
def test_a_workload_that_never_answered_is_named(recorded, capsys, at, ending):
    assert shown(capsys, at, workload="tuna") == f"No version of tuna answered {ending}\n"


def test_a_stack_that_is_not_up_has_no_history(recorded):
    with pytest.raises(
        UserError, match=r"(?s)Stack stage is not up: it has no history in this backend.*modelstack up --stack stage"
    ):
        history.history("stage", "markdown", at=None, as_json=False)
