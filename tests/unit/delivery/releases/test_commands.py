"""The commands about releases: what they copy, write, update and print, in which order."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from common import paths
from common.errors import UserError
from delivery.releases import commands
from delivery.releases.release_command import ReleaseCommand, ReleasePlan
from delivery.stacks import lock, stack, stack_file
from tests.promotions import Evidence
from tests.releases import (
    release,
    released,
)


@pytest.fixture
def command(world, tmp_path, monkeypatch):
    """`modelstack promote markdown --to stage`, in a checkout where dev has a release and stage has none."""
    world.has("dev", released(3))
    world.has("stage")
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    monkeypatch.setattr(paths, "BACKEND", tmp_path / "state" / "state")
    monkeypatch.setattr(stack_file, "path_of", world.file)
    monkeypatch.setattr(commands, "origin_registry", lambda _stack: Evidence())
    return ReleaseCommand.for_workload("promote markdown", "stage", "markdown")


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
