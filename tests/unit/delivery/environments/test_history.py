"""The history of an environment, and the differences between two environments."""

from __future__ import annotations

import types
from datetime import UTC, datetime

import pytest

from common.errors import UserError
from delivery.environments import differences, history
from delivery.stacks import stack_file, updates
from infra.settings import loading
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


def environment(**changes):
    raw = {
        "cluster": {"kind": "existing", "context": "c", "host": "c.example"},
        "images": {"registry": "registry.example"},
        "workloads": {"markdown": {"nodePort": 30001}},
    }
    return loading.parse(raw | changes, "Pulumi.test.yaml")


def test_differences_are_the_keys_with_different_values():
    one = environment(releases={"markdown": released(3)})
    other = environment(releases={"markdown": released(4, 3)}, tracking={"memory": "2Gi"})
    found = differences.compare(one, other)
    assert found["tracking.memory"] == ("768Mi", "2Gi")
    assert found["releases.markdown.stable"] == (3, 4)
    assert found["releases.markdown.versions.4.image"] == (None, image(4))
    assert not [key for key in found if key.startswith("releases.markdown.versions.3")], (
        "a release that both environments have is not a difference"
    )
    assert differences.compare(one, one) == {}


def test_the_error_for_a_missing_stack_file_differs_from_the_error_for_a_stack_that_is_not_up():
    with pytest.raises(UserError, match=r"no such stack file"):
        history.history("nowhere", "markdown", at=None, as_json=False)
