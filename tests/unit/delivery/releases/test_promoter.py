"""Releases from one stack file into the next."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import pytest

from clients.model_registry import ModelVersion
from common import paths
from common.errors import UserError
from delivery.releases import approval_keys, commands, edits, stack_editor
from delivery.releases.promoter import Candidate, Promoter, verify
from delivery.releases.release_command import ReleaseCommand, ReleasePlan
from delivery.releases.stack_editor import StackEditor, StackReleases
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

        def read(self, stack, workload=MARKDOWN):
            file = self.file(stack)
            return StackReleases(stack=stack, file=file, text=file.read_text(), workload=workload)

        def editor(self, stack, known=None, workload=MARKDOWN):
            file, text = self.file(stack), self.file(stack).read_text()
            deployed = known or DeployedReleases()
            return StackEditor(stack=stack, file=file, text=text, workload=workload, deployed=deployed, today=TODAY)

        def promoter(self, source, stack, known=None, evidence=None, workload=MARKDOWN):
            return Promoter(
                target=self.editor(stack, known, workload),
                source=self.read(source),
                evidence=lambda: evidence or Evidence(),
                copy_image=lambda *args: self.carried.append(args),
            )

        def promote(self, source, stack, version=None, **given):
            promoter = self.promoter(source, stack, **given)
            return promoter.promote(promoter.from_source(version))

        def canary(self, source, stack, version, percent):
            promoter = self.promoter(source, stack)
            return promoter.canary(promoter.retained_or_from_source(version), percent)

        def shadow(self, source, stack, version):
            promoter = self.promoter(source, stack)
            return promoter.shadow(promoter.retained_or_from_source(version))

    World.carried = []
    return World()


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
        world.editor("stage").released()


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
    diff = editor.edit(edits.rolled_back(editor.released())).diff
    assert [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}] == [
        "-      stable: 4",
        "+      stable: 3",
    ]


def test_an_image_is_carried_only_where_the_registries_differ(world):
    world.has("dev", released(3), registry="localhost:5000")
    world.has("stage", registry="registry.example")
    assert world.promoter("dev", "stage").with_image(Candidate(release(3), retained=False))
    assert world.carried == [("localhost:5000", "registry.example", "markdown-serving", image(3))]
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
        stack_editor.declared("markdwon")


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
def command(world, tmp_path, monkeypatch):
    """`modelstack promote markdown --to stage`, in a checkout where dev has a release and stage has none."""
    world.has("dev", released(3))
    world.has("stage")
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    monkeypatch.setattr(paths, "BACKEND", tmp_path / "state" / "state")
    monkeypatch.setattr(stack_file, "path_of", world.file)
    monkeypatch.setattr(commands, "origin_registry", lambda _stack: Evidence())
    return ReleaseCommand.of("promote markdown", "stage", "markdown")


def test_of_two_commands_at_once_the_second_is_refused_and_writes_nothing(world, command):
    before = world.file("stage").read_text()
    with lock.exclusive("promote markdown --to stage"), pytest.raises(UserError, match="Another command is changing this"):
        commands.promote(command, None, None)
    assert world.file("stage").read_text() == before
    commands.promote(command, None, None)
    assert stack_file.releases(world.file("stage").read_text())["markdown"] == released(3), "and alone it is made"


def test_a_registry_that_fails_after_all_leaves_the_file_alone(world, command, monkeypatch):
    before = world.file("stage").read_text()

    def fails(*_):
        raise UserError("The registry does not answer.")

    monkeypatch.setattr(commands, "_copy_model", fails)
    with pytest.raises(UserError, match="does not answer"):
        commands.promote(command, None, None)
    assert world.file("stage").read_text() == before


def test_what_was_lost_is_copied_again_though_the_file_has_it_already(command, monkeypatch):
    copied = []
    monkeypatch.setattr(commands, "_copy_model", lambda _stack, _workload, found, _registry: copied.append(found.version))
    for _ in range(2):
        commands.promote(command, None, None)
    assert copied == [3, 3]
    commands.promote(replace(command, dry_run=True), None, None)
    assert len(copied) == 2, "a dry run copies nothing"


@pytest.mark.parametrize("name", ["canary", "shadow"])
def test_a_release_that_the_stack_retains_needs_no_model_registry_to_move_its_traffic(world, command, monkeypatch, name):
    world.has("stage", released(3, 4))

    def down(_stack):
        raise UserError("MLflow does not answer.")

    monkeypatch.setattr(commands, "origin_registry", down)
    if name == "canary":
        commands.canary(command, 4, 10, abort=False)
    else:
        commands.shadow(command, 4, abort=False)
    block = stack_file.releases(world.file("stage").read_text())["markdown"]
    assert block[name] in (4, {"version": 4, "percent": 10}), "MLflow may be down while a canary has to get less"


def test_a_release_that_is_new_to_the_stack_copies_its_model(world, command, monkeypatch):
    world.has("dev", released(4, 3))
    world.has("stage", released(3))
    copied = []
    monkeypatch.setattr(
        commands,
        "_copy_model",
        lambda stack, workload, found, _registry: copied.append((stack, workload, found.release["run"])),
    )
    commands.canary(command, 4, 10, abort=False)
    assert copied == [("stage", "markdown", release(4)["run"])]


@pytest.fixture
def engine(monkeypatch):
    """The stack, which tells on standard output that it is updated, or fails."""

    class Stack:
        fails = False

        @classmethod
        def select(cls, name):
            made = cls()
            made.name = name
            return made

        def preview(self, progress):
            return f"plan of {self.name}"

        def up(self, progress, plan):
            if self.fails:
                raise UserError("The update failed.")
            print(f"up with the {plan}")

    monkeypatch.setattr(stack, "Stack", Stack)
    return Stack


def test_the_next_command_comes_last_and_is_none_that_was_given_already(command, engine, capsys):
    commands.promote(replace(command, apply=True), None, None)
    assert capsys.readouterr().out.endswith("\nup with the plan of stage\nNext: modelstack status\n")
    commands.promote(command, None, None)
    assert "Next" not in capsys.readouterr().out, "nothing was changed"


def test_a_program_is_answered_after_the_update_and_not_at_all_if_it_fails(command, engine, capsys):
    asked = replace(command, as_json=True, apply=True)
    engine.fails = True
    with pytest.raises(UserError, match="The update failed"):
        commands.promote(asked, None, None)
    assert capsys.readouterr().out == "", "a program must not read `written` and then see a failure"
    engine.fails = False
    commands.promote(asked, None, None)
    first, _, answer = capsys.readouterr().out.partition("\n")
    assert first == "up with the plan of stage"
    assert json.loads(answer)["applied"]


def test_the_lock_is_held_from_the_plan_to_the_end_of_the_update(command, engine, monkeypatch):
    held = []

    def exclusive_is_taken(self, _progress, _plan):
        with pytest.raises(UserError, match="Another command is changing this"), lock.exclusive("another"):
            pass
        held.append(self.name)

    monkeypatch.setattr(engine, "up", exclusive_is_taken)
    commands.promote(replace(command, apply=True), None, None)
    assert held == ["stage"], "what is applied is what was written: nobody edits the file in between"


def test_a_plan_is_made_from_the_file_as_it_is_under_the_lock(world, command):
    texts = []

    def plan(editor):
        texts.append(editor.text)
        return ReleasePlan(edit=editor.edit_text(editor.text))

    command.run(plan)
    world.has("stage", released(3))
    command.run(plan)
    assert texts[1] == world.file("stage").read_text() != texts[0]
