"""The engine in the home that an environment prepares for it."""

from __future__ import annotations

import os
import subprocess

import pytest

from delivery import environment
from local import paths


@pytest.fixture
def home(tmp_path, monkeypatch, engine_home):
    for name in ("BACKEND", "PULUMI_HOME", "PASSPHRASE"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    monkeypatch.setattr(paths, "BIN", engine_home / "bin")
    return paths.PULUMI_HOME


def test_the_engine_works_there_and_writes_no_log_of_every_property(home):
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "pulumi-yesterday.log").write_text("of a checkout from before")
    environment.prepare()
    command = ["pulumi", "stack", "ls", "--json", "--non-interactive"]
    done = subprocess.run(command, env={**os.environ, **environment.variables()}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), "nor does it complain"
    assert (home / "logs").read_bytes() == b""
    environment.prepare()
