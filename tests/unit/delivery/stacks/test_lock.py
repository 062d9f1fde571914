"""The lock that lets only one command at a time change an environment."""

import os
import subprocess
import sys

import pytest

from common.errors import UserError
from delivery.stacks.lock import exclusive


def test_the_error_of_a_second_command_names_the_holder_of_the_lock(tmp_path):
    with (
        exclusive("up --stack dev", tmp_path / "lock"),
        pytest.raises(UserError) as refusal,
        exclusive("down", tmp_path / "lock"),
    ):
        pass
    assert f"`modelstack up --stack dev`, process {os.getpid()}" in str(refusal.value)


def test_the_lock_is_released_when_the_process_that_holds_it_is_killed(tmp_path):
    file = tmp_path / "lock"
    program = "import os, pathlib; from delivery.stacks.lock import exclusive\n"
    program += f"with exclusive('up', pathlib.Path({str(file)!r})): os._exit(9)"
    subprocess.run([sys.executable, "-c", program], check=False)
    with exclusive("up", file):
        assert str(os.getpid()) in file.read_text(), "the name of the killed holder is overwritten"


def test_programs_that_the_holder_starts_do_not_inherit_the_lock(tmp_path):
    with exclusive("up", tmp_path / "lock"):
        child = subprocess.Popen(["sleep", "60"])
    try:
        with exclusive("up", tmp_path / "lock"):
            pass
    finally:
        child.kill()
        child.wait()
