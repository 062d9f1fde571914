"""Releases from one stack file into the next."""

from __future__ import annotations

import pytest

from common.errors import UserError
from delivery.releases import edits, stack_editor
from delivery.releases.promoter import Candidate, verify
from delivery.stacks import stack_file
from infra.promotion.deployed import DeployedReleases, parse
from tests.promotions import FILE, Evidence
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
    world.has("dev", released(3))
    world.has("stage")
    edit = world.promote("dev", "stage", None)
    assert block_of(edit) == released(3)
    assert "# kept too" in edit.after
    assert world.file("stage").read_text() == edit.before, "an edit is written when it is asked to be"
    edit.write()
    assert world.file("stage").read_text() == edit.after
    assert not world.promote("dev", "stage", 3).diff, "what is there already is no edit"


def test_an_approval_for_another_stack_does_not_come_along(world):
    world.has("stage", approved("stage", released(3)))
    world.has("prod")
    known = DeployedReleases(source=parse(outputs(released(3))))
    assert "approval" not in block_of(world.promote("stage", "prod", None, known=known))["versions"][0]


REFUSED = {
    "a version that is not kept": (
        {"version": 7},
        {},
        "(?s)dev keeps no release.*modelstack release markdown --stack dev --version 7",
    ),
    "a version that was deleted": ({}, {"gone": 3}, "no longer registered"),
    "a changed report": ({}, {"digest": image(1)}, "does not say what its run recorded"),
    "invented metrics": ({}, {"metrics": METRICS | {"wape": 0.5}}, "does not say what its run recorded"),
    "a day that is left out": ({}, {"until": "2026-11-23"}, r"(?s)where: evidence\.until.*found: nothing.*right: 2026-11-23"),
    "other data": ({}, {"tags": {"data": image(2)}}, "does not say what its run recorded"),
    "somebody else's training": ({}, {"tags": {"trainer": "other@example.com"}}, "does not say what its run recorded"),
}


@pytest.mark.parametrize(("asked", "recorded", "said"), REFUSED.values(), ids=REFUSED)
def test_nothing_is_edited_when(world, asked, recorded, said):
    world.has("dev", released(3))
    world.has("stage")
    before = world.file("stage").read_text()
    with pytest.raises(UserError, match=said):
        world.promote("dev", "stage", asked.get("version"), evidence=Evidence(**recorded))
    assert world.file("stage").read_text() == before


def test_a_release_that_fails_the_gate_is_not_written(world):
    bad = METRICS | {"wape": 0.5}
    made = release(3, evidence={"version": 3, "data": DIGEST, "report": DIGEST, "metrics": bad})
    world.has("dev", {"stable": 3, "versions": [made]})
    world.has("stage")
    with pytest.raises(UserError, match=r"does not pass the gate"):
        world.promote("dev", "stage", None, evidence=Evidence(metrics=bad))


def of_day(until):
    """A release of version 3 whose data is of a day, as the only one."""
    made = release(3)
    return {"stable": 3, "versions": [made | {"evidence": made["evidence"] | {"until": until}}]}


@pytest.mark.parametrize("recorded", [None, "2026-08-25"])
def test_a_day_cannot_be_invented(world, recorded):
    world.has("dev", of_day("2026-11-24"))
    world.has("stage")
    said = rf"(?s)where: evidence\.until.*found: 2026-11-24.*right: {recorded or 'nothing'}"
    with pytest.raises(UserError, match=said):
        world.promote("dev", "stage", None, evidence=Evidence(until=recorded))


def test_a_release_whose_data_is_too_old_is_not_written_and_one_in_time_is_with_its_day(world):
    world.has("stage")
    world.has("dev", of_day("2026-08-25"))
    with pytest.raises(UserError, match=r"age of the data <= 90 days: found 91, bound 90"):
        world.promote("dev", "stage", None, evidence=Evidence(until="2026-08-25"), workload=AGED)
    world.has("dev", of_day("2026-08-26"))
    edit = world.promote("dev", "stage", None, evidence=Evidence(until="2026-08-26"), workload=AGED)
    assert block_of(edit) == of_day("2026-08-26")


def test_a_release_that_stage_has_not_run_is_not_written_to_prod(world):
    world.has("stage", released(3))
    world.has("prod")
    with pytest.raises(UserError, match=r"not the one that is stable in stage"):
        world.promote("stage", "prod", None, known=DeployedReleases(source=parse(outputs(released(2)))))


def test_where_nothing_is_released_there_is_nothing_to_promote_try_or_go_back_to(world):
    world.has("dev")
    world.has("stage")
    with pytest.raises(UserError, match=r"(?s)released in dev yet.*modelstack release markdown"):
        world.promote("dev", "stage", None)
    with pytest.raises(UserError, match=r"(?s)released in stage yet.*modelstack promote markdown --to stage"):
        world.canary("dev", "stage", None, 10)
    with pytest.raises(UserError, match="released in stage yet"):
        world.editor("stage").require_block()


def test_a_stack_that_does_not_run_the_workload_says_so(world):
    world.has("dev", released(3))
    world.file("stage").write_text((FILE % "r.example").replace("    markdown: {nodePort: 30001}   # kept too\n", "    {}\n"))
    with pytest.raises(UserError, match=r"does not run this workload[\s\S]*markdown: \{nodePort: 30001\}"):
        world.promote("dev", "stage", None)


def test_a_canary_comes_grows_and_is_promoted(world):
    world.has("dev", released(4, 3))
    world.has("stage", released(3))
    world.canary("dev", "stage", 4, 10).write()
    assert stack_file.releases(world.file("stage").read_text())["markdown"]["canary"] == {"version": 4, "percent": 10}
    grown = world.canary("dev", "stage", 4, 50)
    changed = [line for line in grown.diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    assert changed == ["-        percent: 10", "+        percent: 50"], "one line to review"
    grown.write()
    assert "canary" not in block_of(world.promote("dev", "stage", 4))


def test_the_stable_version_is_no_canary_and_no_shadow(world):
    world.has("dev", released(3))
    world.has("stage", released(3))
    with pytest.raises(UserError, match="cannot be its own canary"):
        world.canary("dev", "stage", 3, 10)
    with pytest.raises(UserError, match="cannot be its own shadow"):
        world.shadow("dev", "stage", 3)


def test_what_was_a_shadow_is_tried_as_a_canary(world):
    world.has("dev", released(4, 3))
    world.has("stage", released(3, 4, shadow=4))
    assert block_of(world.canary("dev", "stage", 4, 10)) == released(3, 4, canary={"version": 4, "percent": 10})


def test_a_rollback_is_one_line(world):
    world.has("stage", released(4, 3))
    editor = world.editor("stage")
    diff = editor.edit(edits.rolled_back(editor.require_block())).diff
    assert [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}] == [
        "-      stable: 4",
        "+      stable: 3",
    ]


def test_an_image_is_carried_only_where_the_registries_differ(world):
    world.has("dev", released(3), registry="localhost:5000")
    world.has("stage", registry="registry.example")
    assert world.promoter("dev", "stage").with_image(Candidate(release(3), retained=False))
    assert world.copied == [("localhost:5000", "registry.example", "markdown-serving", image(3))]
    world.has("stage", registry="localhost:5000")
    assert not world.promoter("dev", "stage").with_image(Candidate(release(3), retained=False))


def test_an_edit_of_a_file_that_somebody_else_edits_is_not_written_over_theirs(world):
    world.has("dev", released(3))
    world.has("stage")
    edit = world.promote("dev", "stage", None)
    world.file("stage").write_text(world.file("stage").read_text() + "# theirs\n")
    with pytest.raises(UserError, match="edited meanwhile"):
        edit.write()
    assert "# theirs" in world.file("stage").read_text()


def test_a_release_that_says_what_was_recorded_is_verified():
    verify("markdown", release(3), Evidence())
    verify("markdown", of_day("2026-11-23")["versions"][0], Evidence(until="2026-11-23"))


def test_an_unknown_workload_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"there are: .*markdown"):
        stack_editor.find_workload("markdwon")
