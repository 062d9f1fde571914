"""Releases from one stack file into the next."""

from __future__ import annotations

import json
import stat

import pytest

from clients.model_registry import ModelVersion
from common import paths
from common.errors import UserError
from delivery.releases import approval_keys, edits, release_command
from delivery.releases.promoter import Desk, Promoter, verify
from delivery.stacks import lock, stack, stack_file
from infra.promotion.deployed import DeployedReleases, parse
from infra.settings.releases import Release
from tests.releases import (
    AGED,
    APPROVER,
    DIGEST,
    MARKDOWN,
    METRICS,
    RUN,
    TODAY,
    TRAINER,
    approved,
    image,
    outputs,
    release,
    released,
)

FILE = """\
# kept
config:
  modelstack:cluster: {kind: existing, context: c, host: c.example}
  modelstack:images: {registry: %s}
  modelstack:workloads:
    markdown: {nodePort: 30001}   # kept too
"""


class Evidence:
    """A model registry that recorded what the releases of the tests say."""

    def __init__(self, **changes):
        self.changes = changes

    def version(self, name, version):
        if version == self.changes.get("gone"):
            return None
        tags = {"data": DIGEST, "revision": "1a2b3c4d5e6f", "trainer": TRAINER, "report": DIGEST}
        return ModelVersion(name=name, version=version, run=RUN, tags=tags | self.changes.get("tags", {}))

    def report(self, _model):
        return self.changes.get("digest", DIGEST), self.changes.get("metrics", METRICS), self.changes.get("until")


@pytest.fixture
def world(tmp_path):
    """Makes the way from one stack to another: stack files, what is stable, and what was carried."""

    class World:
        carried: list = []  # noqa: RUF012 made anew for each test

        def file(self, stack):
            return tmp_path / f"Pulumi.{stack}.yaml"

        def has(self, stack, block=None, registry="registry.example"):
            text = FILE % registry
            self.file(stack).write_text(stack_file.with_releases(text, "markdown", block) if block else text)

        def desk(self, stack, known=None, workload=MARKDOWN):
            return Desk(stack=stack, file=self.file(stack), workload=workload, known=known or DeployedReleases(), today=TODAY)

        def promoter(self, source, stack, known=None, evidence=None, workload=MARKDOWN):
            return Promoter(
                desk=self.desk(stack, known, workload),
                source=self.desk(source),
                evidence=lambda: evidence or Evidence(),
                carry=lambda *args: self.carried.append(args),
            )

    World.carried = []
    return World()


def block_of(edit):
    return stack_file.releases(edit.after)["markdown"]


def test_promotion_adds_the_release_and_makes_it_stable(world):
    world.has("dev", released(3))
    world.has("stage")
    edit = world.promoter("dev", "stage").promote(None)
    assert block_of(edit) == released(3)
    assert "# kept too" in edit.after
    assert world.file("stage").read_text() == edit.before, "an edit is written when it is asked to be"
    edit.write()
    assert world.file("stage").read_text() == edit.after
    assert not world.promoter("dev", "stage").promote(3).diff, "what is there already is no edit"


def test_an_approval_for_another_stack_does_not_come_along(world):
    world.has("stage", approved("stage", released(3)))
    world.has("prod")
    known = DeployedReleases(source=parse(outputs(released(3))))
    assert "approval" not in block_of(world.promoter("stage", "prod", known).promote(None))["versions"][0]


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
        world.promoter("dev", "stage", evidence=Evidence(**recorded)).promote(asked.get("version"))
    assert world.file("stage").read_text() == before


def test_a_release_that_fails_the_gate_is_not_written(world):
    bad = METRICS | {"wape": 0.5}
    made = release(3, evidence={"version": 3, "data": DIGEST, "report": DIGEST, "metrics": bad})
    world.has("dev", {"stable": 3, "versions": [made]})
    world.has("stage")
    with pytest.raises(UserError, match=r"does not pass the gate"):
        world.promoter("dev", "stage", evidence=Evidence(metrics=bad)).promote(None)


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
        world.promoter("dev", "stage", evidence=Evidence(until=recorded)).promote(None)


def test_a_release_whose_data_is_too_old_is_not_written_and_one_in_time_is_with_its_day(world):
    world.has("stage")
    world.has("dev", of_day("2026-08-25"))
    with pytest.raises(UserError, match=r"age of the data <= 90 days: found 91, bound 90"):
        world.promoter("dev", "stage", evidence=Evidence(until="2026-08-25"), workload=AGED).promote(None)
    world.has("dev", of_day("2026-08-26"))
    edit = world.promoter("dev", "stage", evidence=Evidence(until="2026-08-26"), workload=AGED).promote(None)
    assert block_of(edit) == of_day("2026-08-26")


def test_a_release_that_stage_has_not_run_is_not_written_to_prod(world):
    world.has("stage", released(3))
    world.has("prod")
    with pytest.raises(UserError, match=r"not the one that is stable in stage"):
        world.promoter("stage", "prod", DeployedReleases(source=parse(outputs(released(2))))).promote(None)


def test_where_nothing_is_released_there_is_nothing_to_promote_try_or_go_back_to(world):
    world.has("dev")
    world.has("stage")
    with pytest.raises(UserError, match=r"(?s)released in dev yet.*modelstack release markdown"):
        world.promoter("dev", "stage").promote(None)
    with pytest.raises(UserError, match=r"(?s)released in stage yet.*modelstack promote markdown --to stage"):
        world.promoter("dev", "stage").canary(None, 10)
    with pytest.raises(UserError, match="released in stage yet"):
        world.desk("stage").released()


def test_a_stack_that_does_not_run_the_workload_says_so(world):
    world.has("dev", released(3))
    world.file("stage").write_text((FILE % "r.example").replace("    markdown: {nodePort: 30001}   # kept too\n", "    {}\n"))
    with pytest.raises(UserError, match=r"does not run this workload[\s\S]*markdown: \{nodePort: 30001\}"):
        world.promoter("dev", "stage").promote(None)


def test_a_canary_comes_grows_and_is_promoted(world):
    world.has("dev", released(4, 3))
    world.has("stage", released(3))
    moves_of = world.promoter("dev", "stage")
    moves_of.canary(4, 10).write()
    assert stack_file.releases(world.file("stage").read_text())["markdown"]["canary"] == {"version": 4, "percent": 10}
    grown = moves_of.canary(4, 50)
    changed = [line for line in grown.diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    assert changed == ["-        percent: 10", "+        percent: 50"], "one line to review"
    grown.write()
    assert "canary" not in block_of(moves_of.promote(4))


def test_the_stable_version_is_no_canary_and_no_shadow(world):
    world.has("dev", released(3))
    world.has("stage", released(3))
    with pytest.raises(UserError, match="cannot be its own canary"):
        world.promoter("dev", "stage").canary(3, 10)
    with pytest.raises(UserError, match="cannot be its own shadow"):
        world.promoter("dev", "stage").shadow(3)


def test_what_was_a_shadow_is_tried_as_a_canary(world):
    world.has("dev", released(4, 3))
    world.has("stage", released(3, 4, shadow=4))
    assert block_of(world.promoter("dev", "stage").canary(4, 10)) == released(3, 4, canary={"version": 4, "percent": 10})


def test_a_rollback_is_one_line(world):
    world.has("stage", released(4, 3))
    desk = world.desk("stage")
    diff = desk.edit(edits.rolled_back(desk.released())).diff
    assert [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}] == [
        "-      stable: 4",
        "+      stable: 3",
    ]


def test_an_image_is_carried_only_where_the_registries_differ(world):
    world.has("dev", released(3), registry="localhost:5000")
    world.has("stage", registry="registry.example")
    assert world.promoter("dev", "stage").bring_image(release(3))
    assert world.carried == [("localhost:5000", "registry.example", "markdown-serving", image(3))]
    world.has("stage", registry="localhost:5000")
    assert not world.promoter("dev", "stage").bring_image(release(3))


def test_an_edit_of_a_file_that_somebody_else_edits_is_not_written_over_theirs(world):
    world.has("dev", released(3))
    world.has("stage")
    edit = world.promoter("dev", "stage").promote(None)
    world.file("stage").write_text(world.file("stage").read_text() + "# theirs\n")
    with pytest.raises(UserError, match="edited meanwhile"):
        edit.write()
    assert "# theirs" in world.file("stage").read_text()


def test_a_release_that_says_what_was_recorded_is_verified():
    verify("markdown", release(3), Evidence())
    verify("markdown", of_day("2026-11-23")["versions"][0], Evidence(until="2026-11-23"))


def test_an_unknown_workload_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"there are: .*markdown"):
        release_command.declared("markdwon")


def test_a_key_is_made_once_kept_private_and_found_again(tmp_path):
    file = tmp_path / "config" / "approver.json"
    made = approval_keys.make("me@example.com", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert approval_keys.read(file).public == made.public
    with pytest.raises(UserError, match="a key already"):
        approval_keys.make("me@example.com", file)
    assert approval_keys.read(file).public == made.public, "a key that was made over would be lost"


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path):
    file = tmp_path / "approver.json"
    with pytest.raises(UserError, match="modelstack key"):
        approval_keys.read(file)
    approval_keys.make("me@example.com", file)
    file.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        approval_keys.read(file)
    file.write_text('{"name": "me@example.com", "secret": "short"}')
    with pytest.raises(UserError, match="no approver's key"):
        approval_keys.read(file)


def test_an_approval_that_would_not_count_is_not_given(tmp_path):
    key = approval_keys.make("me@example.com", tmp_path / "approver.json")
    with pytest.raises(UserError, match=r"(?s)not among the approvers.*approvers\.json"):
        key.approve("prod", MARKDOWN, Release.model_validate(release(3)))


def test_an_approval_of_a_listed_key_counts(tmp_path):
    key = approval_keys.make("me@example.com", tmp_path / "approver.json")
    workload = MARKDOWN.model_copy(update={"approvers": (APPROVER.model_copy(update={"name": key.name, "key": key.public}),)})
    made = key.approve("prod", workload, Release.model_validate(release(3)))
    assert made["by"] == "me@example.com"
    Release.model_validate(release(3) | {"approval": made})


def test_a_key_is_listed_once_and_the_others_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    folder = tmp_path / "workloads" / "markdown"
    folder.mkdir(parents=True)
    (folder / "approvers.json").write_text(json.dumps([APPROVER.model_dump(exclude_none=True)]))
    key = approval_keys.make("me@example.com", tmp_path / "approver.json")
    for _ in range(2):
        file = approval_keys.list_for("markdown", key)
    assert [each["name"] for each in json.loads(file.read_text())] == [APPROVER.name, "me@example.com"]


@pytest.fixture
def move(world, tmp_path, monkeypatch):
    """`modelstack promote markdown --to stage`, in a checkout where dev has a release and stage has none."""
    world.has("dev", released(3))
    world.has("stage")
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    monkeypatch.setattr(paths, "BACKEND", tmp_path / "state" / "state")
    monkeypatch.setattr(stack_file, "path_of", world.file)
    return release_command.Move("promote markdown", "stage", "markdown", dry_run=False, as_json=False, apply=False)


def test_of_two_commands_at_once_the_second_is_refused_and_writes_nothing(world, move):
    before = world.file("stage").read_text()
    promoter = world.promoter("dev", "stage")
    with lock.exclusive("promote markdown --to stage"), pytest.raises(UserError, match="Another command is changing this"):
        move.make(lambda: promoter.promote(None))
    assert world.file("stage").read_text() == before
    move.make(lambda: promoter.promote(None))
    assert stack_file.releases(world.file("stage").read_text())["markdown"] == released(3), "and alone it is made"


def test_a_registry_that_fails_after_all_leaves_the_file_alone(world, move):
    before = world.file("stage").read_text()

    def carry():
        raise UserError("The registry does not answer.")

    with pytest.raises(UserError, match="does not answer"):
        move.make(lambda: world.promoter("dev", "stage").promote(None), carry)
    assert world.file("stage").read_text() == before


def test_what_was_lost_is_brought_again_though_the_file_has_it_already(world, move):
    carried = []
    for _ in range(2):
        move.make(lambda: world.promoter("dev", "stage").promote(None), lambda: carried.append("image and model"))
    assert len(carried) == 2
    move.dry_run = True
    move.make(lambda: world.promoter("dev", "stage").promote(None), lambda: carried.append("image and model"))
    assert len(carried) == 2, "a dry run brings nothing"


@pytest.mark.parametrize(("again", "expected"), [(False, []), (True, [3])])
def test_a_release_that_the_stack_keeps_needs_no_model_registry_to_move_its_traffic(world, monkeypatch, again, expected):
    world.has("dev", released(3))
    world.has("stage", released(3))
    brought = []
    monkeypatch.setattr(release_command, "_bring_model", lambda _stack, _workload, release: brought.append(release["version"]))
    release_command._bring(world.promoter("dev", "stage"), 3, again=again)
    assert brought == expected, "MLflow may be down while a canary has to get less"


def test_a_release_that_is_new_to_the_stack_brings_its_model(world, monkeypatch):
    world.has("dev", released(3))
    world.has("stage")
    brought = []
    monkeypatch.setattr(
        release_command, "_bring_model", lambda stack, workload, release: brought.append((stack, workload, release["run"]))
    )
    release_command._bring(world.promoter("dev", "stage"), None)
    assert brought == [("stage", "markdown", release(3)["run"])]


def test_the_next_command_comes_last_and_is_none_that_was_given_already(world, move, monkeypatch, capsys):
    class Stack:
        def __init__(self, name):
            self.name = name

        def preview(self, progress):
            return f"plan of {self.name}"

        def up(self, progress, plan):
            print(f"up with the {plan}")

    monkeypatch.setattr(stack, "Stack", Stack)
    move.apply = True
    move.make(lambda: world.promoter("dev", "stage").promote(None))
    assert capsys.readouterr().out.endswith("\nup with the plan of stage\nNext: modelstack status\n")
    move.apply = False
    move.make(lambda: world.promoter("dev", "stage").promote(None))
    assert "Next" not in capsys.readouterr().out, "nothing was changed"
