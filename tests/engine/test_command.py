"""`command.local.Command` through the real engine."""

import os
import signal
import time

import pulumi
import pytest
from pulumi_command import local

from tests.engine.leftovers import no_leftovers, stored

__all__ = ["no_leftovers"]


@pytest.fixture
def log(tmp_path):
    """A file that the commands write to: what ran, in order."""
    return tmp_path / "log"


def declare(log, **changes):
    def program():
        arguments = {
            "create": f"echo create >> {log}; echo made $NAME",
            "update": f"echo update after $PULUMI_COMMAND_STDOUT >> {log}; echo changed $NAME",
            "delete": f"echo delete after $PULUMI_COMMAND_STDOUT >> {log}",
            "environment": {"NAME": "it"},
            **changes,
        }
        command = local.Command(
            "thing", local.CommandArgs(**{key: value for key, value in arguments.items() if value is not None})
        )
        pulumi.export("stdout", command.stdout)
        pulumi.export("stderr", command.stderr)

    return program


def ran(log):
    return log.read_text().splitlines() if log.exists() else []


def test_each_script_runs_at_its_time_and_knows_what_the_last_one_printed(stack, log):
    assert stack.preview(declare(log)).operations["thing"] == ["create"]
    assert ran(log) == [], "a preview runs nothing"
    created = stack.up(declare(log))
    assert created.operations["thing"] == ["create"], created.error
    assert created.outputs["stdout"] == "made it", "the last newline is dropped"
    assert stack.up(declare(log)).operations["thing"] == ["same"]
    updated = stack.up(declare(log, environment={"NAME": "other"}))
    assert updated.operations["thing"] == ["update"]
    assert updated.outputs["stdout"] == "changed other"
    assert not stack.destroy().failed
    assert ran(log) == ["create", "update after made it", "delete after changed other"]


def test_without_an_update_script_a_change_runs_the_create_script(stack, log):
    stack.up(declare(log, update=None))
    assert stack.up(declare(log, update=None, environment={"NAME": "other"})).outputs["stdout"] == "made other"
    assert ran(log) == ["create", "create"]


def test_a_trigger_replaces(stack, log):
    stack.up(declare(log, triggers=["a"]))
    replaced = stack.up(declare(log, triggers=["b"]))
    assert "replace" in replaced.operations["thing"] or "create-replacement" in replaced.operations["thing"]
    assert ran(log) == ["create", "create", "delete after made it"]


def test_input_streams_folder_and_interpreter_are_the_commands(stack, tmp_path):
    (tmp_path / "in").mkdir()
    done = stack.up(
        declare(
            tmp_path / "log",
            create="import os, sys; print(os.getcwd(), sys.stdin.read()); print('aside', file=sys.stderr)",
            interpreter=["python3", "-c"],
            dir=str(tmp_path / "in"),
            stdin="from the program",
        )
    )
    assert done.outputs == {"stdout": f"{tmp_path / 'in'} from the program", "stderr": "aside"}


def test_what_depends_on_a_secret_is_secret(stack, log):
    def program():
        command = local.Command("thing", create="echo $KEY", environment={"KEY": pulumi.Output.secret("s3cr3t")})
        pulumi.export("stdout", command.stdout)

    assert stack.up(program).outputs["stdout"] == "s3cr3t"
    assert "s3cr3t" not in stored(stack), "neither the input nor what was printed is in the state"


def test_outputs_that_the_program_calls_secret_are_secret(stack, log):
    def program():
        options = pulumi.ResourceOptions(additional_secret_outputs=["stdout"])
        local.Command("thing", create="echo 's3''cr3t'", logging=local.Logging.NONE, opts=options)

    assert not stack.up(program).failed
    assert "s3cr3t" not in stored(stack)


def test_a_failing_command_is_told_with_the_end_of_its_output_and_may_be_mended(stack, log):
    failed = stack.up(declare(log, create="echo out; echo err >&2; exit 3"))
    assert failed.failed
    assert "exit status 3" in failed.error
    assert "out\nerr" in failed.error or "err\nout" in failed.error
    mended = stack.up(declare(log))
    assert mended.operations["thing"] == ["create"], "nothing was kept of the failed one"


def test_an_update_that_fails_keeps_the_old_state(stack, log):
    stack.up(declare(log))
    assert stack.up(declare(log, update="exit 1", environment={"NAME": "other"})).failed
    assert stack.state("thing")["outputs"]["stdout"] == "made it"
    assert stack.up(declare(log, environment={"NAME": "other"})).operations["thing"] == ["update"], "it is tried again"


def test_what_cannot_be_run_is_told(stack, log):
    assert "no-such-shell" in stack.up(declare(log, interpreter=["no-such-shell"])).error
    assert "/no/such" in stack.up(declare(log, dir="/no/such")).error


def test_inputs_that_this_plugin_cannot_honour_are_refused_in_the_preview(stack, log):
    refused = stack.preview(declare(log, asset_paths=["*.txt"]))
    assert refused.failed
    assert "assetPaths" in refused.error


def test_a_preview_of_a_change_does_not_know_the_output(stack, log):
    def program(name):
        def body():
            first = local.Command("first", create=f"echo {name}")
            local.Command("second", create="cat", stdin=first.stdout)

        return body

    stack.up(program("a"))
    assert stack.preview(program("a")).operations == {"first": ["same"], "second": ["same"]}
    changed = stack.preview(program("b"))
    assert changed.operations == {"first": ["update"], "second": ["update"]}, "what depends on the output may change with it"


def test_a_daemon_that_keeps_the_output_open_is_not_waited_for(stack, tmp_path):
    started = time.monotonic()
    done = stack.up(declare(tmp_path / "log", create=f"sleep 60 & echo $! > {tmp_path / 'pid'}; echo started"))
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert done.outputs["stdout"] == "started"
    assert time.monotonic() - started < 40


def test_a_cancelled_command_ends_with_all_it_started(stack, tmp_path):
    pid = tmp_path / "pid"
    with stack.under_way(
        declare(tmp_path / "log", create=f"sleep 1000 & echo $! > {pid}.new; mv {pid}.new {pid}; wait")
    ) as thread:
        deadline = time.monotonic() + 60
        while not pid.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        thread.engine().send_signal(signal.SIGINT)
    assert thread.outcome.failed
    assert "cancelled" in thread.outcome.error
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_function_runs_a_command_and_keeps_nothing(stack):
    def program():
        pulumi.export("sum", local.run_output(command="echo $((20 + 22))").stdout)

    assert stack.up(program).outputs["sum"] == "42"
