"""The release commands: what they copy, write, update and print, and in which order."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from common import paths
from common.errors import UserError
from delivery.releases import commands
from delivery.releases.release_command import ReleaseCommand, ReleasePlan
from delivery.stacks import lock, stack, stack_file
from tests.promotions import FakeModelRegistry
from tests.releases import (
    release,
    released,
)
from tests.tiers import clusters_answer


@pytest.fixture
def command(world, tmp_path, monkeypatch):
    """`modelstack promote markdown --to stage`, in a checkout where dev has a release and stage has none."""
    world.write("dev", released(3))
    world.write("stage")
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    monkeypatch.setattr(paths, "BACKEND", tmp_path / "state" / "state")
    monkeypatch.setattr(stack_file, "path_of", world.file)
    monkeypatch.setattr(commands, "origin_registry", lambda _stack: FakeModelRegistry())
    clusters_answer(monkeypatch)
    return ReleaseCommand.for_workload("promote markdown", "stage", "markdown")


def test_a_second_command_at_the_same_time_is_refused_and_writes_nothing(world, command):
    before = world.file("stage").read_text()
    with lock.exclusive("promote markdown --to stage"), pytest.raises(UserError, match="Another command is changing this"):
        commands.promote(command, None, None)
    assert world.file("stage").read_text() == before
    commands.promote(command, None, None)
    assert stack_file.releases(world.file("stage").read_text())["markdown"] == released(3), (
        "the same command succeeds without the other"
    )


def test_the_file_does_not_change_if_the_copy_of_the_model_fails(world, command, monkeypatch):
    before = world.file("stage").read_text()

    def fails(*_):
        raise UserError("The model registry does not answer.")

    monkeypatch.setattr(commands, "_prepare_model_copy", fails)
    with pytest.raises(UserError, match="does not answer"):
        commands.promote(command, None, None)
    assert world.file("stage").read_text() == before


def test_promote_copies_the_model_again_if_the_file_contains_the_release_already(command, monkeypatch):
    copied = []
    monkeypatch.setattr(
        commands, "_prepare_model_copy", lambda _stack, _workload, candidate, _registry: copied.append(candidate.version)
    )
    for _ in range(2):
        commands.promote(command, None, None)
    assert copied == [3, 3]
    commands.promote(replace(command, dry_run=True), None, None)
    assert len(copied) == 2, "a dry run copies nothing"


@pytest.mark.parametrize("name", ["canary", "shadow"])
def test_the_traffic_of_a_retained_release_can_change_while_the_model_registry_is_down(world, command, monkeypatch, name):
    world.write("stage", released(3, 4))

    def down(_stack):
        raise UserError("MLflow does not answer.")

    monkeypatch.setattr(commands, "origin_registry", down)
    if name == "canary":
        commands.canary(command, 4, 10, abort=False)
    else:
        commands.shadow(command, 4, abort=False)
    block = stack_file.releases(world.file("stage").read_text())["markdown"]
    assert block[name] in (4, {"version": 4, "percent": 10}), (
        "an operator can reduce the traffic of a canary while MLflow is down"
    )


def test_a_release_that_the_stack_does_not_retain_copies_its_model(world, command, monkeypatch):
    world.write("dev", released(4, 3))
    world.write("stage", released(3))
    copied = []
    monkeypatch.setattr(
        commands,
        "_prepare_model_copy",
        lambda tier, workload, candidate, _registry: copied.append((tier.stack, workload, candidate.release["run"])),
    )
    commands.canary(command, 4, 10, abort=False)
    assert copied == [("stage", "markdown", release(4)["run"])]


@pytest.fixture
def engine(monkeypatch):
    """A fake stack, whose update prints a line to standard output or fails."""

    class Stack:
        fails = False

        @classmethod
        def select(cls, name):
            selected = cls()
            selected.name = name
            return selected

        def preview(self, progress):
            return f"plan of {self.name}"

        def up(self, progress, plan):
            if self.fails:
                raise UserError("The update failed.")
            print(f"up with the {plan}")

    monkeypatch.setattr(stack, "Stack", Stack)
    return Stack


def test_the_next_step_is_printed_last_and_only_after_a_change(command, engine, capsys):
    commands.promote(replace(command, apply=True), None, None)
    assert capsys.readouterr().out.endswith("\nup with the plan of stage\nNext: modelstack status\n")
    commands.promote(command, None, None)
    assert "Next" not in capsys.readouterr().out, "nothing was changed"


def test_json_is_printed_after_the_update_and_not_if_the_update_fails(command, engine, capsys):
    json_command = replace(command, as_json=True, apply=True)
    engine.fails = True
    with pytest.raises(UserError, match="The update failed"):
        commands.promote(json_command, None, None)
    assert capsys.readouterr().out == "", "a program must not read `written` before the update has failed"
    engine.fails = False
    commands.promote(json_command, None, None)
    first, _, answer = capsys.readouterr().out.partition("\n")
    assert first == "up with the plan of stage"
    assert json.loads(answer)["applied"]


def test_the_lock_is_held_from_the_plan_to_the_end_of_the_update(command, engine, monkeypatch):
    held = []

    def try_the_lock(self, _progress, _plan):
        with pytest.raises(UserError, match="Another command is changing this"), lock.exclusive("another"):
            pass
        held.append(self.name)

    monkeypatch.setattr(engine, "up", try_the_lock)
    commands.promote(replace(command, apply=True), None, None)
    assert held == ["stage"], "no other command changes the file between the write and the update"


def test_each_plan_is_made_from_the_current_content_of_the_file(world, command):
    texts = []

    def plan(editor):
        texts.append(editor.text)
        return ReleasePlan(edit=editor.edit_text(editor.text))

    command.run(plan)
    world.write("stage", released(3))
    command.run(plan)
    assert texts[1] == world.file("stage").read_text() != texts[0]
