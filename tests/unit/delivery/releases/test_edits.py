"""Edits of a workload's releases: each edit makes its own change and no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from delivery.releases import edits
from infra.settings.releases import WorkloadReleases
from tests.releases import image, release, released, signed

VERSIONS = st.integers(1, 12)


@st.composite
def blocks(draw):
    """Generates valid blocks of releases."""
    retained = sorted(draw(st.sets(VERSIONS, min_size=1)))
    stable, *others = draw(st.permutations(retained))
    roles = {}
    if others and draw(st.booleans()):
        roles["canary"] = {"version": others.pop(), "percent": draw(st.integers(0, 100))}
    if others and draw(st.booleans()):
        roles["shadow"] = others.pop()
    return released(stable, *retained, **roles)


def is_valid(block):
    """Returns whether a stack file may contain this block."""
    releases = WorkloadReleases.model_validate(block)
    numbers = [each.version for each in releases.versions]
    served = list(releases.roles.values())
    return numbers == sorted(set(numbers)) and set(served) <= set(numbers) and len(set(served)) == len(served)


@given(blocks(), VERSIONS)
def test_promotion_makes_a_version_stable_and_ends_its_canary_or_shadow(block, version):
    after = edits.with_stable(block, release(version))
    assert is_valid(after)
    assert after["stable"] == version
    for role in ("canary", "shadow"):
        if role in after:
            assert after[role] == block[role], "the role of another version does not change"


@given(blocks(), VERSIONS)
def test_a_second_promotion_of_the_same_version_changes_nothing(block, version):
    once = edits.with_stable(block, release(version))
    assert edits.with_stable(once, release(version)) == once


@given(blocks(), VERSIONS)
def test_the_previous_stable_version_is_retained_for_a_rollback(block, version):
    after = edits.with_stable(block, release(version))
    newer = [number for number in edits.versions(block) if number > block["stable"]]
    if len(newer) < edits.RETAINED:
        assert block["stable"] in edits.versions(after)


@given(st.lists(VERSIONS, min_size=1, max_size=12))
def test_old_releases_are_removed_but_the_stable_one_stays(promoted):
    block = None
    for version in promoted:
        block = edits.with_stable(block, release(version))
        assert is_valid(block)
    assert len(block["versions"]) <= 1 + edits.RETAINED


@given(blocks())
def test_a_rollback_changes_only_the_stable_version_and_is_refused_without_an_older_release(block):
    older = [number for number in edits.versions(block) if number < block["stable"]]
    if not older:
        with pytest.raises(UserError, match="no earlier release to roll back to"):
            edits.rolled_back(block)
        return
    after = edits.rolled_back(block)
    assert is_valid(after)
    assert after["stable"] == max(older)
    assert after["versions"] == block["versions"]


@given(blocks(), st.integers(13, 20), st.integers(0, 100))
def test_adding_and_removing_a_canary_or_adding_a_shadow_changes_no_other_role(block, version, percent):
    with_canary = edits.with_canary(block, release(version), percent)
    assert is_valid(with_canary)
    assert with_canary["canary"] == {"version": version, "percent": percent}
    without = edits.without(with_canary, "canary")
    assert {**without, "versions": []} == {**edits.without(block, "canary"), "versions": []}
    with_shadow = edits.with_shadow(block, release(version))
    assert is_valid(with_shadow)
    assert with_shadow["shadow"] == version


def test_an_identical_release_keeps_its_approval_and_a_changed_release_loses_it():
    block = released(3) | {"versions": [signed("prod", release(3))]}
    assert edits.with_version(block, release(3)) == block, "a repeated promotion does not remove an approval"
    changed = edits.with_version(block, release(3, image=image(4)))
    assert "approval" not in changed["versions"][0], "the approver signed another image"


def test_an_approval_is_added_to_one_release_only():
    after = edits.approved(released(3, 4), 4, {"by": "a@example.com"})
    assert [each.get("approval") for each in after["versions"]] == [None, {"by": "a@example.com"}]
