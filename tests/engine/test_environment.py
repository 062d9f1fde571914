"""The engine with the home, the backend and the variables that `delivery.stacks` prepares."""

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


def test_the_engine_works_in_its_home_and_writes_no_log_of_every_property(home):
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "pulumi-yesterday.log").write_text("written before this version of the checkout")
    backend.prepare()
    command = ["pulumi", "stack", "ls", "--json", "--non-interactive"]
    done = subprocess.run(command, env={**os.environ, **variables.variables()}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), "the engine prints no warning about the missing log folder"
    assert (home / "logs").read_bytes() == b""
    backend.prepare()


@pytest.fixture
def shared(home, tmp_path, monkeypatch):
    """A team's backend, with its own passphrase, and a project whose stack files may be written."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(CHECKOUT / "Pulumi.yaml", project)
    monkeypatch.setattr(paths, "CHECKOUT", project)
    folder = tmp_path / "team"
    folder.mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", folder.as_uri())
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "team passphrase")
    return folder


def test_a_backend_in_the_variables_stores_the_states_and_its_own_passphrase_opens_the_secrets(shared, monkeypatch):
    assert backend.stacks() == []
    stack = Stack.create("team")
    try:
        assert backend.stacks() == ["team"]
        assert [file.name for file in (shared / ".pulumi" / "stacks" / "modelstack").glob("*.json")] == ["team.json"]
        assert "unset" not in variables.export_lines()
        stack.command("config", "set", "--secret", "key", "value")
        assert stack.command("config", "get", "key").strip() == "value"
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong passphrase")
        with pytest.raises(UserError, match="passphrase"):
            stack.command("config", "get", "key")
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "team passphrase")
    finally:
        stack.remove()
    assert not (CHECKOUT / "Pulumi.team.yaml").exists(), "the checkout is left alone"


def test_variables_of_another_checkout_in_the_shell_are_ignored(home, monkeypatch):
    monkeypatch.setattr(paths, "BACKEND", paths.CHECKOUT / ".modelstack" / "state")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///elsewhere/.modelstack/state")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "/elsewhere/.modelstack/passphrase")
    environ = variables.variables()
    assert environ["PULUMI_BACKEND_URL"] == paths.BACKEND.as_uri()
    assert environ["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(paths.PASSPHRASE)


def test_the_error_names_a_backend_that_cannot_be_reached(shared, monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///nowhere/at/all")
    with pytest.raises(UserError, match=r"(?s)cannot be reached.*file:///nowhere/at/all"):
        backend.stacks()
