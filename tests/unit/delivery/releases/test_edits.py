"""Edits of a workload's releases: each changes what it says, and nothing else."""

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
    """Releases that a stack file may hold."""
    kept = sorted(draw(st.sets(VERSIONS, min_size=1)))
    stable, *others = draw(st.permutations(kept))
    roles = {}
    if others and draw(st.booleans()):
        roles["canary"] = {"version": others.pop(), "percent": draw(st.integers(0, 100))}
    if others and draw(st.booleans()):
        roles["shadow"] = others.pop()
    return released(stable, *kept, **roles)


def good(block):
    """Whether a stack file may hold these releases."""
    releases = WorkloadReleases.model_validate(block)
    numbers = [each.version for each in releases.versions]
    served = list(releases.roles.values())
    return numbers == sorted(set(numbers)) and set(served) <= set(numbers) and len(set(served)) == len(served)


@given(blocks(), VERSIONS)
def test_a_version_made_stable_is_stable_and_no_canary_or_shadow(block, version):
    after = edits.with_stable(block, release(version))
    assert good(after)
    assert after["stable"] == version
    for role in ("canary", "shadow"):
        if role in after:
            assert after[role] == block[role], "what is not promoted stays as it was"


@given(blocks(), VERSIONS)
def test_promote_twice_is_promote_once(block, version):
    once = edits.with_stable(block, release(version))
    assert edits.with_stable(once, release(version)) == once


@given(blocks(), VERSIONS)
def test_what_was_stable_is_kept_to_go_back_to(block, version):
    after = edits.with_stable(block, release(version))
    newer = [number for number in edits.versions(block) if number > block["stable"]]
    if len(newer) < edits.KEPT:
        assert block["stable"] in edits.versions(after)


@given(st.lists(VERSIONS, min_size=1, max_size=12))
def test_old_releases_go_and_never_one_that_is_served(promoted):
    block = None
    for version in promoted:
        block = edits.with_stable(block, release(version))
        assert good(block)
    assert len(block["versions"]) <= 1 + edits.KEPT


@given(blocks())
def test_a_rollback_changes_one_line_and_ends_with_a_clear_message(block):
    older = [number for number in edits.versions(block) if number < block["stable"]]
    if not older:
        with pytest.raises(UserError, match="no release to go back to"):
            edits.rolled_back(block)
        return
    after = edits.rolled_back(block)
    assert good(after)
    assert after["stable"] == max(older)
    assert after["versions"] == block["versions"]


@given(blocks(), st.integers(13, 20), st.integers(0, 100))
def test_a_canary_and_a_shadow_come_and_go_without_a_trace_in_what_is_served(block, version, percent):
    with_canary = edits.with_canary(block, release(version), percent)
    assert good(with_canary)
    assert with_canary["canary"] == {"version": version, "percent": percent}
    without = edits.without(with_canary, "canary")
    assert {**without, "versions": []} == {**edits.without(block, "canary"), "versions": []}
    with_shadow = edits.with_shadow(block, release(version))
    assert good(with_shadow)
    assert with_shadow["shadow"] == version


def test_an_approval_stays_with_the_very_same_release_and_goes_with_a_changed_one():
    block = released(3) | {"versions": [signed("prod", release(3))]}
    assert edits.with_version(block, release(3)) == block, "to promote again takes nobody's word back"
    changed = edits.with_version(block, release(3, image=image(4)))
    assert "approval" not in changed["versions"][0], "what was approved was another image"


def test_an_approval_is_put_under_one_release():
    after = edits.approved(released(3, 4), 4, {"by": "a@example.com"})
    assert [each.get("approval") for each in after["versions"]] == [None, {"by": "a@example.com"}]
