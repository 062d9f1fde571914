"""The exit codes of `modelstack`, by which scripts tell what happened, and what is printed where."""

from __future__ import annotations

import errno
import os
import signal

import pytest
import typer

from common.errors import UserError
from delivery.cli import main
from delivery.environments import status
from delivery.trials import watch
from delivery.trials.verdict import WatchOutcome


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command line in this process. Returns its exit code and its standard error."""
    for variable in ("NO_PROXY", "no_proxy"):  # the command changes them, and the tests that follow shall not see that
        monkeypatch.setenv(variable, "")
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*words):
        monkeypatch.setattr("sys.argv", ["modelstack", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code, capsys.readouterr().err

    yield run
    for name, handler in handlers.items():
        signal.signal(name, handler)


@pytest.fixture
def fails(monkeypatch):
    """Lets `modelstack status` raise an error."""

    def fails(error):
        def raise_it(_stack, *, as_json):
            raise error

        monkeypatch.setattr(status, "main", raise_it)

    return fails


def test_success_is_0(run, monkeypatch):
    monkeypatch.setattr(status, "main", lambda _stack, *, as_json: None)
    assert run("status") == (0, "")


def test_an_error_that_the_user_can_fix_is_1_and_its_message_goes_to_standard_error(run, fails):
    fails(UserError("The cluster does not answer.", where="https://c.example", fix="start it"))
    assert run("status") == (1, "The cluster does not answer.\n  where: https://c.example\n  do:    start it\n")


def test_a_wrong_command_line_is_2(run):
    code, message = run("status", "--stak", "dev")
    assert code == 2
    assert "--stak" in message


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()], ids=["an interrupt", "a question that was refused"])
def test_an_interrupt_is_130_and_says_how_to_continue(run, fails, error):
    fails(error)
    assert run("status") == (130, "Interrupted. Run the same command again: it continues where it stopped.\n")


def test_an_interrupt_before_the_command_begins_is_130_as_well(run, monkeypatch):
    def interrupted(*, standalone_mode):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupted)
    assert run("status")[0] == 130


def test_a_file_that_may_not_be_read_is_1_and_named(run, fails):
    fails(PermissionError(errno.EACCES, "Permission denied", "/checkout/.modelstack/passphrase"))
    code, message = run("status")
    assert code == 1
    assert message.startswith("Permission denied.\n  where: /checkout/.modelstack/passphrase\n")


@pytest.mark.parametrize("file", ["/data/file", None])
def test_a_full_disk_is_1_and_its_folder_named(run, fails, file):
    fails(OSError(errno.ENOSPC, "No space left on device", file))
    code, message = run("status")
    assert code == 1
    assert message.startswith(f"The disk is full.\n  where: {file or os.getcwd()}\n")  # noqa: PTH109 the command prints it so


@pytest.mark.parametrize("error", [OSError(errno.EIO, "input/output error"), ValueError("a bug")], ids=repr)
def test_an_error_that_nobody_has_thought_of_keeps_its_traceback(run, fails, error, monkeypatch):
    fails(error)
    monkeypatch.setattr("sys.argv", ["modelstack", "status"])
    with pytest.raises(type(error)):
        main.main()


@pytest.mark.parametrize(("outcome", "code"), [(WatchOutcome.passed, 0), (WatchOutcome.failed, 3), (WatchOutcome.undecided, 4)])
def test_the_verdict_on_a_canary_is_the_exit_code(run, monkeypatch, outcome, code):
    monkeypatch.setattr(watch, "main", lambda *_: watch.CODES[outcome])
    assert run("canary", "markdown", "--stack", "prod", "--watch") == (code, "")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["canary", "markdown", "--stack", "prod", "--watch", "--traffic", "10"], "--traffic cannot be used with --watch"),
        (["canary", "markdown", "--stack", "prod", "--seconds", "10"], "--seconds only works with --watch"),
        (["shadow", "markdown", "--stack", "prod", "--compare", "--apply"], "--apply cannot be used with --compare"),
    ],
)
def test_options_that_do_not_fit_together_are_2_and_named(run, words, named):
    code, message = run(*words)
    assert (code, named in " ".join(message.split())) == (2, True)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda name: name.name)
def test_each_signal_that_asks_a_command_to_end_interrupts_it(run, monkeypatch, name):
    monkeypatch.setattr(status, "main", lambda _stack, *, as_json: os.kill(os.getpid(), name))
    assert run("status")[0] == 130, "the steps of the command are cleaned up, as after Ctrl-C"


def test_requests_to_this_machine_bypass_the_proxy(run, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "internal.example")
    monkeypatch.setattr(status, "main", lambda _stack, *, as_json: None)
    run("status")
    assert os.environ["NO_PROXY"] == "internal.example,localhost,127.0.0.1"
    assert os.environ["no_proxy"] == "localhost,127.0.0.1"
