"""`modelstack down`: what it destroys, in which order, and what it keeps."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from common import paths
from common.errors import UserError
from delivery.machine import down
from delivery.machine import tour as tour_command
from delivery.releases import approval_keys
from delivery.stacks import lock, recovery, stack_file
from infra.settings import tour
from tests.releases import released
from tests.unit.delivery.machine.machines import EMBEDDED, EXISTING, SALT

RELEASED = f"{stack_file.with_releases(EMBEDDED, 'markdown', released(3))}{SALT}\n"


@pytest.fixture
def environment(machine):
    """A machine on which dev is up and serves version 3."""
    machine.stacks = {"dev"}
    machine.write(RELEASED)
    for file in (paths.NODE / "etcd" / "data", paths.BACKEND / "dev.json", paths.PASSPHRASE, paths.KUBECONFIG):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return machine


def data():
    """The names of the data that is left in `.modelstack`, logs and lock aside."""
    return sorted(path.name for path in paths.STATE.iterdir() if path.name not in {"logs", "lock"})


ALL = ["kubeconfig", "node", "passphrase", "state"]


def test_the_stack_is_destroyed_then_the_node_stopped_then_its_data_removed(environment, monkeypatch, capsys):
    monkeypatch.setattr(
        "local.node.lifecycle.stop.stop", lambda _config, _progress: environment.call(f"stop node beside {data()}")
    )
    down.main("dev")
    assert environment.calls == ["destroy dev", "remove dev", f"stop node beside {ALL}"]
    assert data() == []
    assert capsys.readouterr().out == "Nothing of the environment is left. `make up` creates it again.\n"


def test_releases_and_salt_leave_the_stack_file_and_nothing_else_does(environment):
    down.main("dev")
    assert environment.read() == EMBEDDED


def test_a_file_with_secrets_keeps_its_salt(environment):
    text = f"{EMBEDDED}  other:token: {{secure: v1:x}}\n{SALT}\n"
    environment.write(text)
    down.main("dev")
    assert environment.read() == text, "without its salt, nobody can decrypt the secrets again"


def test_a_file_without_releases_is_not_written(environment):
    environment.write(EMBEDDED)
    written = stack_file.path_of("dev").stat()
    down.main("dev")
    assert stack_file.path_of("dev").stat() == written


@pytest.mark.parametrize("kubeconfig", [".modelstack/kubeconfig", "ABSOLUTE"])
def test_other_environments_in_the_cluster_are_named_and_nothing_is_destroyed(environment, kubeconfig):
    environment.stacks.add("stage")
    environment.write(EXISTING % kubeconfig.replace("ABSOLUTE", str(paths.KUBECONFIG)), "stage")
    with pytest.raises(UserError, match=r"(?s)Other environments use the cluster.*stage.*modelstack down --stack stage"):
        down.main("dev")
    assert (environment.calls, data()) == ([], ALL)
    assert environment.read() == RELEASED


def test_the_data_stays_as_long_as_states_of_environments_elsewhere_are_in_it(environment):
    environment.stacks.add("stage")
    environment.write(EXISTING % "/elsewhere/kubeconfig", "stage")
    down.main("dev")
    assert environment.calls == ["destroy dev", "remove dev"], "the update of the stack stops the node"
    assert data() == ALL, "the folder with the states has that of stage, too"


def test_a_stack_without_a_readable_file_uses_no_cluster_of_this_machine(environment):
    environment.stacks.add("old")
    down.main("dev")
    assert environment.calls == ["destroy dev", "remove dev"]
    assert "state" in data()


def test_if_the_stack_cannot_be_destroyed_its_node_is_removed_with_all_resources(environment):
    environment.fails = {"destroy dev": UserError("the plugin crashed")}
    down.main("dev")
    assert environment.calls == ["destroy dev", "stop node"]
    assert data() == []


def test_an_interrupt_of_the_destruction_leaves_node_and_data_alone(environment):
    environment.fails = {"destroy dev": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        down.main("dev")
    assert (environment.calls, data()) == (["destroy dev"], ALL), "the next `down` continues"
    assert environment.read() == RELEASED


def test_data_stays_if_the_node_cannot_be_stopped(environment):
    environment.fails = {"stop node": UserError("a process does not end")}
    with pytest.raises(UserError, match="does not end"):
        down.main("dev")
    assert data() == ALL, "a running node still writes into it"


@pytest.mark.parametrize("gone", ["node", "stack"])
def test_without_a_node_or_a_stack_there_is_nothing_to_destroy_but_data_to_remove(environment, gone):
    if gone == "node":
        environment.node_ready = False
    else:
        environment.stacks.clear()
    down.main("dev")
    assert environment.calls == ["stop node"], "an engine would wait for an API server that does not run"
    assert data() == []


def test_a_second_down_finds_nothing_and_succeeds(environment):
    down.main("dev")
    environment.calls.clear()
    environment.node_ready = False
    down.main("dev")
    assert (environment.calls, data()) == (["stop node"], [])


def test_an_environment_in_a_cluster_elsewhere_is_destroyed_and_its_file_stays(environment, capsys):
    text = f"{stack_file.with_releases(EXISTING % '/elsewhere/kubeconfig', 'markdown', released(3))}{SALT}\n"
    environment.write(text, "stage")
    environment.stacks.add("stage")
    down.main("stage")
    assert environment.calls == ["destroy stage", "remove stage"]
    assert data() == ALL
    assert environment.read("stage") == text, "its images are in a registry elsewhere, so its releases stay valid"
    assert capsys.readouterr().out == "Stack stage is destroyed.\n"


def test_a_failure_in_a_cluster_elsewhere_is_an_error_and_the_stack_stays(environment):
    environment.write(EXISTING % "/elsewhere/kubeconfig", "stage")
    environment.fails = {"destroy stage": UserError("protected")}
    with pytest.raises(UserError, match="protected"):
        down.main("stage")
    assert environment.calls == ["destroy stage"], "the state is the only record of what is left"


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="review 4.2 no. 18: production is destroyed without a question")
def test_production_is_not_destroyed_without_an_answer(environment, monkeypatch):
    environment.write(EXISTING % "/elsewhere/kubeconfig", "prod")
    environment.stacks.add("prod")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with contextlib.suppress(UserError, SystemExit):
        down.main("prod")
    assert environment.calls == []


@pytest.fixture
def toured(environment):
    """The machine with both stacks of the tour up; tour-stage serves version 3."""
    tour_command.main(dry_run=False, force=False)
    for stack in tour.STACKS:
        environment.stacks.add(stack)
        environment.write(environment.read(stack) + SALT + "\n", stack)
    environment.write(stack_file.with_releases(environment.read(tour.STAGE), "markdown", released(3)), tour.STAGE)
    key = approval_keys.create("colleague@example.com", approval_keys.tour_file())
    approval_keys.add_to_approvers("markdown", key, for_tour=True)
    return environment


def test_a_stack_of_the_tour_is_destroyed_with_its_stack_file(toured, capsys):
    before = toured.read()
    down.main(tour.STAGE)
    assert toured.calls == [f"destroy {tour.STAGE}", f"remove {tour.STAGE}"]
    assert not stack_file.path_of(tour.STAGE).exists(), "its releases have no model without its MLflow"
    assert stack_file.path_of(tour.PROD).exists()
    assert toured.read() == before
    said = capsys.readouterr().out
    assert "Stack tour-stage is destroyed.\nPulumi.tour-stage.yaml is deleted. `modelstack tour` writes it again.\n" in said


def test_an_edited_stack_file_of_the_tour_stays_without_its_releases(toured, capsys):
    edited = toured.read(tour.STAGE).replace("cpu: 50m", "cpu: 60m", 1)
    toured.write(edited, tour.STAGE)
    down.main(tour.STAGE)
    left = toured.read(tour.STAGE)
    assert "cpu: 60m" in left
    assert (stack_file.releases(left), stack_file.salt(left)) == ({}, "")
    assert "stays, because it was edited" in capsys.readouterr().out


def test_a_file_that_cannot_be_compared_with_devs_is_not_deleted(toured):
    toured.write("config: {}\n")
    down.main(tour.STAGE)
    assert stack_file.releases(toured.read(tour.STAGE)) == {}


def test_down_of_a_stack_of_the_tour_continues_after_an_interruption_and_ends(toured, capsys):
    toured.stacks.discard(tour.STAGE)  # interrupted before the file was deleted
    down.main(tour.STAGE)
    assert not stack_file.path_of(tour.STAGE).exists()
    capsys.readouterr()
    down.main(tour.STAGE)
    assert capsys.readouterr().out == "Nothing of stack tour-stage is left.\n"
    assert toured.calls == []


def test_a_stack_of_the_tour_without_its_file_is_not_destroyed_blindly(toured):
    stack_file.path_of(tour.PROD).unlink()
    with pytest.raises(UserError, match=r"(?s)no stack file.*modelstack tour"):
        down.main(tour.PROD)
    assert toured.calls == []
    with pytest.raises(UserError, match=r"(?s)Other environments.*tour-prod"):
        down.main("dev")
    assert toured.calls == [], "the environment is in dev's cluster, whatever its file says"


def test_the_lock_of_an_interrupted_update_of_the_tour_is_removed_before_the_engine_needs_it(toured, monkeypatch):
    monkeypatch.setattr(recovery, "release_locks", lambda folder, _progress: toured.call(f"release locks of {folder.name}"))
    down.main(tour.STAGE)
    assert toured.calls[:2] == [f"release locks of {tour.STAGE}", f"destroy {tour.STAGE}"]


def test_a_stack_of_the_tour_that_cannot_be_destroyed_keeps_its_file(toured):
    before = toured.read(tour.STAGE)
    toured.fails = {f"destroy {tour.STAGE}": UserError("the engine failed")}
    with pytest.raises(UserError, match="the engine failed"):
        down.main(tour.STAGE)
    assert toured.read(tour.STAGE) == before


def test_down_of_the_three_environments_leaves_no_trace_of_the_tour(toured):
    for stack in (*reversed(tour.STACKS), "dev"):
        down.main(stack)
    assert data() == [], "neither the approver's key nor its lists"
    assert [file.name for file in toured.folder.glob("Pulumi.*.yaml")] == ["Pulumi.dev.yaml"]
    assert toured.read() == EMBEDDED


def test_dev_takes_the_files_of_a_tour_that_was_never_up_with_it(environment):
    tour_command.main(dry_run=False, force=False)
    edited = environment.read(tour.PROD) + "# mine\n"
    environment.write(edited, tour.PROD)
    down.main("dev")
    assert not stack_file.path_of(tour.STAGE).exists()
    assert environment.read(tour.PROD) == edited


def test_the_command_holds_the_lock_while_it_destroys(environment, monkeypatch):
    def destroy(_stack, _config, _progress):
        with pytest.raises(UserError, match="`modelstack down --stack dev`"), lock.exclusive("another"):
            pass
        environment.call("destroyed under the lock")

    monkeypatch.setattr(down, "_destroy_embedded", destroy)
    down.main("dev")
    assert environment.calls == ["destroyed under the lock"]
