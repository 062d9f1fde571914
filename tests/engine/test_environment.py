"""The engine in the home that an environment prepares for it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from common import paths
from common.errors import UserError
from delivery.stacks import backend, variables
from delivery.stacks.stack import Stack
from tests.checkout import CHECKOUT


@pytest.fixture
def home(tmp_path, monkeypatch, engine_home):
    for name in ("BACKEND", "PULUMI_HOME", "PASSPHRASE"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    monkeypatch.setattr(paths, "BIN", engine_home / "bin")
    return paths.PULUMI_HOME


def test_the_engine_works_there_and_writes_no_log_of_every_property(home):
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "pulumi-yesterday.log").write_text("of a checkout from before")
    backend.prepare()
    command = ["pulumi", "stack", "ls", "--json", "--non-interactive"]
    done = subprocess.run(command, env={**os.environ, **variables.variables()}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), "nor does it complain"
    assert (home / "logs").read_bytes() == b""
    backend.prepare()


@pytest.fixture
def shared(home, tmp_path, monkeypatch):
    """A backend that a team has, with a passphrase of its own, and a project whose stack files may be written."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(CHECKOUT / "Pulumi.yaml", project)
    monkeypatch.setattr(paths, "CHECKOUT", project)
    folder = tmp_path / "team"
    folder.mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", folder.as_uri())
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of the team")
    return folder


def test_a_backend_that_somebody_named_keeps_the_states_and_its_secrets_are_opened_as_they_say(shared, monkeypatch):
    assert backend.stacks() == []
    stack = Stack.create("team")
    try:
        assert backend.stacks() == ["team"]
        assert [file.name for file in (shared / ".pulumi" / "stacks" / "modelstack").glob("*.json")] == ["team.json"]
        assert "unset" not in variables.export_lines()
        stack.command("config", "set", "--secret", "word", "told")
        assert stack.command("config", "get", "word").strip() == "told"
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of a stranger")
        with pytest.raises(UserError, match="passphrase"):
            stack.command("config", "get", "word")
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of the team")
    finally:
        stack.remove()
    assert not (CHECKOUT / "Pulumi.team.yaml").exists(), "the checkout is left alone"


def test_what_another_checkouts_variables_have_left_in_the_shell_is_not_taken_for_a_backend(home, monkeypatch):
    monkeypatch.setattr(paths, "BACKEND", paths.CHECKOUT / ".modelstack" / "state")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///elsewhere/.modelstack/state")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "/elsewhere/.modelstack/passphrase")
    found = variables.variables()
    assert found["PULUMI_BACKEND_URL"] == paths.BACKEND.as_uri()
    assert found["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(paths.PASSPHRASE)


def test_a_backend_that_cannot_be_reached_is_named(shared, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///nowhere/at/all")
    with pytest.raises(UserError, match=r"(?s)cannot be reached.*file:///nowhere/at/all"):
        backend.stacks()
