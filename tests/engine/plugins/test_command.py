"""`command.local.Command` through the real engine."""

import os
import signal
import time

import psutil
import pytest

from tests.engine.harness.plain import project, template

__all__ = ["project", "template"]  # fixtures


@pytest.fixture
def log(tmp_path):
    """A file that the commands write to: what ran, in order."""
    return tmp_path / "log"


HEAD = "import pulumi\nfrom pulumi_command import local\n"


def declare(log, options="", **changes):
    """A program with one command, whose streams it exports."""
    arguments = {
        "create": f"echo create >> {log}; echo made $NAME",
        "update": f"echo update after $PULUMI_COMMAND_STDOUT >> {log}; echo changed $NAME",
        "delete": f"echo delete after $PULUMI_COMMAND_STDOUT >> {log}",
        "environment": {"NAME": "it"},
        **changes,
    }
    command = f"command = local.Command('thing', local.CommandArgs(**{arguments!r}), pulumi.ResourceOptions({options}))\n"
    return f"{HEAD}{command}pulumi.export('stdout', command.stdout)\npulumi.export('stderr', command.stderr)\n"


def ran(log):
    return log.read_text().splitlines() if log.exists() else []


def test_each_script_runs_at_its_time_and_knows_what_the_last_one_printed(project, log):
    assert project.preview(declare(log)).operations["thing"] == ["create"]
    assert ran(log) == [], "a preview runs nothing"
    created = project.up(declare(log))
    assert created.operations["thing"] == ["create"], created.error
    assert created.outputs["stdout"] == "made it", "the last newline is dropped"
    assert project.up(declare(log)).operations["thing"] == ["same"]
    updated = project.up(declare(log, environment={"NAME": "other"}))
    assert updated.operations["thing"] == ["update"]
    assert updated.outputs["stdout"] == "changed other"
    assert not project.destroy().failed
    assert ran(log) == ["create", "update after made it", "delete after changed other"]


def test_without_an_update_script_a_change_runs_the_create_script(project, log):
    project.up(declare(log, update=None))
    assert project.up(declare(log, update=None, environment={"NAME": "other"})).outputs["stdout"] == "made other"
    assert ran(log) == ["create", "create"]


def test_a_trigger_replaces(project, log):
    project.up(declare(log, triggers=["a"]))
    replaced = project.up(declare(log, triggers=["b"]))
    assert "replace" in replaced.operations["thing"] or "create-replacement" in replaced.operations["thing"]
    assert ran(log) == ["create", "create", "delete after made it"]


def test_input_streams_folder_and_interpreter_are_the_commands(project, tmp_path):
    (tmp_path / "in").mkdir()
    done = project.up(
        declare(
            tmp_path / "log",
            create="import os, sys; print(os.getcwd(), sys.stdin.read()); print('aside', file=sys.stderr)",
            interpreter=["python3", "-c"],
            dir=str(tmp_path / "in"),
            stdin="from the program",
        )
    )
    assert done.outputs == {"stdout": f"{tmp_path / 'in'} from the program", "stderr": "aside"}


def test_what_depends_on_a_secret_is_secret(project):
    environment = "{'KEY': pulumi.Output.secret('s3cr' + '3t')}"
    command = f"command = local.Command('thing', create='echo $KEY', environment={environment})\n"
    done = project.up(f"{HEAD}{command}pulumi.export('stdout', command.stdout)\n")
    assert done.outputs["stdout"] == "s3cr3t"
    assert "s3cr3t" not in project.stored(), "neither the input nor what was printed is in the state"


def test_outputs_that_the_program_calls_secret_are_secret(project, log):
    program = declare(log, "additional_secret_outputs=['stdout']", create="echo 's3''cr3t'", logging="none")
    assert project.up(program).outputs["stdout"] == "s3cr3t"
    assert "s3cr3t" not in project.stored()


def test_a_failing_command_is_told_with_the_end_of_its_output_and_may_be_mended(project, log):
    failed = project.up(declare(log, create="echo out; echo err >&2; exit 3"))
    assert failed.failed
    assert "exit status 3" in failed.error
    assert "out\nerr" in failed.error or "err\nout" in failed.error
    mended = project.up(declare(log))
    assert mended.operations["thing"] == ["create"], "nothing was kept of the failed one"


def test_an_update_that_fails_keeps_the_old_state(project, log):
    project.up(declare(log))
    assert project.up(declare(log, update="exit 1", environment={"NAME": "other"})).failed
    assert '"stdout":"made it"' in project.stored()
    assert project.up(declare(log, environment={"NAME": "other"})).operations["thing"] == ["update"], "it is tried again"


def test_what_cannot_be_run_is_told(project, log):
    assert "no-such-shell" in project.up(declare(log, interpreter=["no-such-shell"])).error
    assert "/no/such" in project.up(declare(log, dir="/no/such")).error


def test_inputs_that_this_plugin_cannot_honour_are_refused_in_the_preview(project, log):
    refused = project.preview(declare(log, asset_paths=["*.txt"]))
    assert refused.failed
    assert "assetPaths" in refused.error


def test_a_preview_of_a_change_does_not_know_the_output(project):
    def program(text):
        first = f"first = local.Command('first', create='echo {text}')\n"
        return f"{HEAD}{first}local.Command('second', create='cat', stdin=first.stdout)\n"

    project.up(program("a"))
    assert project.preview(program("a")).operations == {"first": ["same"], "second": ["same"]}
    changed = project.preview(program("b"))
    assert changed.operations == {"first": ["update"], "second": ["update"]}, "what depends on the output may change with it"


def test_a_daemon_that_keeps_the_output_open_is_not_waited_for(project, tmp_path):
    started = time.monotonic()
    done = project.up(declare(tmp_path / "log", create=f"sleep 60 & echo $! > {tmp_path / 'pid'}; echo started"))
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert done.outputs["stdout"] == "started"
    assert time.monotonic() - started < 40


def test_a_cancelled_command_ends_with_all_it_started(project, tmp_path):
    pid = tmp_path / "pid"
    project.program(declare(tmp_path / "log", create=f"sleep 1000 & echo $! > {pid}; echo begun; wait"))
    with project.start("up", "--yes", "--skip-preview") as process:
        assert any("begun" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    assert process.returncode
    assert "cancelled while running" in output
    started = int(pid.read_text())
    assert not psutil.pid_exists(started) or psutil.Process(started).status() == psutil.STATUS_ZOMBIE


def test_a_function_runs_a_command_and_keeps_nothing(project):
    done = project.up(f"{HEAD}pulumi.export('sum', local.run_output(command='echo $((20 + 22))').stdout)\n")
    assert done.outputs["sum"] == "42"
