"""Promotion of releases from one stack file to another."""

from __future__ import annotations

import pytest

from common.errors import UserError
from delivery.releases import edits, stack_editor
from delivery.releases.promoter import SelectedRelease, verify
from delivery.stacks import stack_file
from infra.promotion.deployed import DeployedReleases, parse
from tests.promotions import FILE, FakeModelRegistry
from tests.releases import (
    AGED,
    DIGEST,
    METRICS,
    approved,
    image,
    outputs,
    release,
    released,
)


def block_of(edit):
    return stack_file.releases(edit.after)["markdown"]


def test_promotion_adds_the_release_and_makes_it_stable(world):
    world.write("dev", released(3))
    world.write("stage")
    edit = world.promote("dev", "stage", None)
    assert block_of(edit) == released(3)
    assert "# second comment" in edit.after
    assert world.file("stage").read_text() == edit.before, "`promote` returns the edit and does not write it"
    edit.write()
    assert world.file("stage").read_text() == edit.after
    assert not world.promote("dev", "stage", 3).diff, "a repeated promotion changes nothing"


def test_an_approval_for_another_stack_is_not_promoted(world):
    world.write("stage", approved("stage", released(3)))
    world.write("prod")
    deployed = DeployedReleases(source=parse(outputs(released(3))))
    assert "approval" not in block_of(world.promote("stage", "prod", None, deployed=deployed))["versions"][0]


REFUSED = {
    "a version that is not retained": (
        {"version": 7},
        {},
        "(?s)stack file of dev retains no release.*modelstack release markdown --stack dev --version 7",
    ),
    "a version that was deleted": ({}, {"deleted": 3}, "no longer registered"),
    "a changed report": ({}, {"digest": image(1)}, "does not match what its run recorded"),
    "invented metrics": ({}, {"metrics": METRICS | {"wape": 0.5}}, "does not match what its run recorded"),
    "a missing last day of the data": (
        {},
        {"until": "2026-11-23"},
        r"(?s)where: evidence\.until.*found: nothing.*right: 2026-11-23",
    ),
    "other data": ({}, {"tags": {"data": image(2)}}, "does not match what its run recorded"),
    "somebody else's training": ({}, {"tags": {"trainer": "other@example.com"}}, "does not match what its run recorded"),
}


@pytest.mark.parametrize(("options", "recorded", "message"), REFUSED.values(), ids=REFUSED)
def test_promotion_edits_nothing_and_refuses(world, options, recorded, message):
    world.write("dev", released(3))
    world.write("stage")
    before = world.file("stage").read_text()
    with pytest.raises(UserError, match=message):
        world.promote("dev", "stage", options.get("version"), registry=FakeModelRegistry(**recorded))
    assert world.file("stage").read_text() == before


def test_a_release_that_fails_the_gate_is_not_written(world):
    failing = METRICS | {"wape": 0.5}
    unfit = release(3, evidence={"version": 3, "data": DIGEST, "report": DIGEST, "metrics": failing})
    world.write("dev", {"stable": 3, "versions": [unfit]})
    world.write("stage")
    with pytest.raises(UserError, match=r"does not pass the gate"):
        world.promote("dev", "stage", None, registry=FakeModelRegistry(metrics=failing))


def block_with_last_day(until):
    """Returns a block with one release, version 3, whose evidence has this last day of the data."""
    only = release(3)
    return {"stable": 3, "versions": [only | {"evidence": only["evidence"] | {"until": until}}]}


@pytest.mark.parametrize("recorded", [None, "2026-08-25"])
def test_a_last_day_that_the_run_did_not_record_is_refused(world, recorded):
    world.write("dev", block_with_last_day("2026-11-24"))
    world.write("stage")
    message = rf"(?s)where: evidence\.until.*found: 2026-11-24.*right: {recorded or 'nothing'}"
    with pytest.raises(UserError, match=message):
        world.promote("dev", "stage", None, registry=FakeModelRegistry(until=recorded))


def test_a_release_with_too_old_data_is_refused_and_one_at_the_limit_is_written_with_its_day(world):
    world.write("stage")
    world.write("dev", block_with_last_day("2026-08-25"))
    with pytest.raises(UserError, match=r"age of the data <= 90 days: found 91, bound 90"):
        world.promote("dev", "stage", None, registry=FakeModelRegistry(until="2026-08-25"), workload=AGED)
    world.write("dev", block_with_last_day("2026-08-26"))
    edit = world.promote("dev", "stage", None, registry=FakeModelRegistry(until="2026-08-26"), workload=AGED)
    assert block_of(edit) == block_with_last_day("2026-08-26")


def test_a_release_that_is_not_stable_in_stage_is_not_written_to_prod(world):
    world.write("stage", released(3))
    world.write("prod")
    with pytest.raises(UserError, match=r"not the one that is stable in stage"):
        world.promote("stage", "prod", None, deployed=DeployedReleases(source=parse(outputs(released(2)))))


def test_promote_canary_and_rollback_need_an_existing_release(world):
    world.write("dev")
    world.write("stage")
    with pytest.raises(UserError, match=r"(?s)released in dev yet.*modelstack release markdown"):
        world.promote("dev", "stage", None)
    with pytest.raises(UserError, match=r"(?s)released in stage yet.*modelstack promote markdown --to stage"):
        world.canary("dev", "stage", None, 10)
    with pytest.raises(UserError, match="released in stage yet"):
        world.editor("stage").require_block()


def test_promotion_to_a_stack_that_does_not_list_the_workload_is_refused(world):
    world.write("dev", released(3))
    world.file("stage").write_text(
        (FILE % ("stage", "r.example")).replace("    markdown: {nodePort: 30001}   # second comment\n", "    {}\n")
    )
    with pytest.raises(UserError, match=r"does not run this workload[\s\S]*markdown: \{nodePort: 30001\}"):
        world.promote("dev", "stage", None)


def test_a_canary_is_added_gets_more_traffic_and_is_promoted(world):
    world.write("dev", released(4, 3))
    world.write("stage", released(3))
    world.canary("dev", "stage", 4, 10).write()
    assert stack_file.releases(world.file("stage").read_text())["markdown"]["canary"] == {"version": 4, "percent": 10}
    increased = world.canary("dev", "stage", 4, 50)
    changed = [line for line in increased.diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    assert changed == ["-        percent: 10", "+        percent: 50"], "one line to review"
    increased.write()
    assert "canary" not in block_of(world.promote("dev", "stage", 4))


def test_the_stable_version_cannot_be_canary_or_shadow(world):
    world.write("dev", released(3))
    world.write("stage", released(3))
    with pytest.raises(UserError, match="cannot also be the canary"):
        world.canary("dev", "stage", 3, 10)
    with pytest.raises(UserError, match="cannot also be the shadow"):
        world.shadow("dev", "stage", 3)


def test_a_shadow_can_become_the_canary(world):
    world.write("dev", released(4, 3))
    world.write("stage", released(3, 4, shadow=4))
    assert block_of(world.canary("dev", "stage", 4, 10)) == released(3, 4, canary={"version": 4, "percent": 10})


def test_a_rollback_changes_one_line(world):
    world.write("stage", released(4, 3))
    editor = world.editor("stage")
    diff = editor.edit(edits.rolled_back(editor.require_block())).diff
    assert [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}] == [
        "-      stable: 4",
        "+      stable: 3",
    ]


def test_an_image_is_copied_only_if_the_container_registries_differ(world):
    world.write("dev", released(3), registry="localhost:5000")
    world.write("stage", registry="registry.example")
    assert world.promoter("dev", "stage").copy_image_of(SelectedRelease(release(3), retained=False))
    assert world.copied_images == [("localhost:5000", "registry.example", "markdown-serving", image(3))]
    world.write("stage", registry="localhost:5000")
    assert not world.promoter("dev", "stage").copy_image_of(SelectedRelease(release(3), retained=False))


def test_an_edit_does_not_overwrite_a_change_that_was_made_in_the_meantime(world):
    world.write("dev", released(3))
    world.write("stage")
    edit = world.promote("dev", "stage", None)
    world.file("stage").write_text(world.file("stage").read_text() + "# another change\n")
    with pytest.raises(UserError, match="changed while the command ran"):
        edit.write()
    assert "# another change" in world.file("stage").read_text()


def test_a_release_that_matches_its_run_is_verified():
    verify("markdown", release(3), FakeModelRegistry())
    verify("markdown", block_with_last_day("2026-11-23")["versions"][0], FakeModelRegistry(until="2026-11-23"))


def test_an_unknown_workload_is_refused_with_a_list_of_the_known_ones():
    with pytest.raises(UserError, match=r"there are: .*markdown"):
        stack_editor.find_workload("markdwon")
