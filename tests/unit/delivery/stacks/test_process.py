"""`pulumi` as a child process: interrupts, the death of its parent, its output and its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from delivery.stacks import process

PROGRAM = """
import signal, sys
from delivery.stacks import process
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print("code", process.run(sys.argv[1], ["up"], cwd=sys.argv[2], env={}).code)
except KeyboardInterrupt:
    print("interrupted")
"""
FINISHES = """
trap 'echo int >> signals; sleep 0.3; echo written > state; exit 255' INT
echo $$ > pid; while :; do sleep 0.02; done
"""
"""Completes its operations after an interrupt, as the engine does."""
GOES_ON = "trap 'echo int >> signals' INT\necho $$ > pid; while :; do sleep 0.02; done\n"
"""Does not end after an interrupt."""


def eventually(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.01)


@pytest.fixture
def started(engine, tmp_path):
    """Starts a command whose engine is a script, and waits until the engine runs."""
    commands = []

    def start(script):
        engine.script(script)
        line = [sys.executable, "-c", PROGRAM, str(engine.executable), str(tmp_path)]
        command = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        commands.append(command)
        eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        return command

    yield start
    for command in commands:
        command.kill()
        command.wait()
        command.stdout.close()
    if (tmp_path / "pid").exists() and runs(int((tmp_path / "pid").read_text())):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def signals(folder):
    file = folder / "signals"
    return file.read_text().split() if file.exists() else []


def test_an_interrupt_is_passed_on_once_and_the_engine_is_waited_for(started, tmp_path):
    command = started(FINISHES)
    command.send_signal(signal.SIGINT)
    assert command.communicate(timeout=20)[0] == "interrupted\n"
    assert (tmp_path / "state").read_text() == "written\n", "the command must not end before the engine has written its state"
    assert signals(tmp_path) == ["int"], "a second interrupt would stop the engine at once"


def test_the_third_interrupt_kills_an_engine_that_goes_on(started, tmp_path):
    command = started(GOES_ON)
    for count in (1, 2):
        command.send_signal(signal.SIGINT)
        eventually(lambda count=count: len(signals(tmp_path)) == count)
        assert command.poll() is None
    command.send_signal(signal.SIGINT)
    assert command.communicate(timeout=20)[0] == "interrupted\n"
    assert signals(tmp_path) == ["int", "int"], "the third one is SIGKILL"
    assert not runs(int((tmp_path / "pid").read_text()))


def test_the_engine_is_interrupted_if_the_command_is_killed(started, tmp_path):
    command = started(FINISHES)
    command.kill()
    eventually((tmp_path / "state").exists)
    assert signals(tmp_path) == ["int"], "the engine completes what it does, writes its state and releases its lock"


def test_the_engine_is_in_a_session_of_its_own(engine, tmp_path):
    engine.script("ps -o sid= -p $$; echo $$")
    session, pid = process.run(str(engine.executable), []).stdout.split()
    assert session == pid, "the terminal would send Ctrl-C to the engine as well, which would count as the second interrupt"


def test_much_output_on_both_streams_is_returned_whole(engine):
    engine.script("seq 1 200000; seq 1 200000 >&2; exit 3")
    done = process.run(str(engine.executable), [])
    numbers = [str(number) for number in range(1, 200_001)]
    assert (done.stdout.splitlines(), done.stderr.splitlines(), done.code) == (numbers, numbers, 3)


def test_output_that_is_no_text_is_returned_as_well(engine):
    engine.script(r"printf 'a  \r\n\377\n'")
    assert process.run(str(engine.executable), []).stdout == "a\n\ufffd"


def test_the_engine_runs_in_the_checkout_and_never_asks(engine, tmp_path):
    engine.answers(("stack ls", "", "", 0))
    process.run(str(engine.executable), ["stack", "ls"])
    assert engine.calls == ["--non-interactive stack ls"], "nobody would see a question"
    assert engine.environ["PWD"] == str(tmp_path)
    assert engine.environ["PULUMI_HOME"] == str(tmp_path / ".modelstack" / "pulumi")
    assert engine.environ["PULUMI_AUTOMATION_API"] == "true"


def test_a_passphrase_of_another_backend_is_not_passed_on(engine, monkeypatch):
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    engine.answers()
    process.run(str(engine.executable), ["about"])
    assert "PULUMI_CONFIG_PASSPHRASE" not in engine.environ, "the engine prefers it to the passphrase file, even if it is empty"


def test_the_engine_runs_without_setpriv_too(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    engine.script("exit 4")
    assert process.run(str(engine.executable), []).code == 4
