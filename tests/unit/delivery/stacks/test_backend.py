"""The backend with the states, and the variables with which the engine finds it."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from common import paths
from common.errors import UserError
from delivery.stacks import backend, variables

STATES = Path(".pulumi") / "stacks" / "modelstack"


def test_prepare_makes_a_passphrase_that_only_its_owner_can_read(engine):
    backend.prepare()
    assert stat.S_IMODE(paths.PASSPHRASE.stat().st_mode) == 0o600
    assert len(paths.PASSPHRASE.read_text()) >= 32
    assert paths.BACKEND.is_dir()
    assert paths.PULUMI_HOME.is_dir()


def test_prepare_keeps_the_passphrase_that_is_there(engine):
    backend.prepare()
    before = paths.PASSPHRASE.read_text()
    backend.prepare()
    assert paths.PASSPHRASE.read_text() == before, "states and stack files are encrypted with it"


def test_prepare_puts_a_file_where_the_engine_would_write_its_log(engine):
    (paths.PULUMI_HOME / "logs").mkdir(parents=True)
    (paths.PULUMI_HOME / "logs" / "old.log").write_text("x")
    backend.prepare()
    assert (paths.PULUMI_HOME / "logs").is_file()


def test_stacks_of_the_checkout_are_listed_without_the_engine(engine):
    assert backend.stacks() == [], "there is no folder yet"
    folder = paths.BACKEND / STATES
    folder.mkdir(parents=True)
    for name in ("stage.json", "dev.json", "dev.json.bak", "dev.json.attrs"):
        (folder / name).write_text("{}")
    assert backend.stacks() == ["dev", "stage"]
    assert (backend.has_stack("dev"), backend.has_stack("prod")) == (True, False)


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://team")


def test_stacks_of_a_shared_backend_are_listed_by_the_engine(engine, shared):
    listed = json.dumps([{"name": "organization/modelstack/prod"}, {"name": "dev"}])
    engine.answers(("stack ls", listed, "", 0))
    assert backend.stacks() == ["dev", "prod"]
    assert engine.environ["PULUMI_BACKEND_URL"] == "s3://team"
    assert engine.calls == ["--non-interactive stack ls --project modelstack --json"], "other projects may share the backend"


def test_a_shared_backend_that_fails_is_named_with_the_reason(engine, shared):
    engine.answers(("stack ls", "", "error: no credentials\n", 255))
    with pytest.raises(UserError, match=r"(?s)cannot be reached.*s3://team.*no credentials.*PULUMI_BACKEND_URL"):
        backend.stacks()


def test_a_shared_backend_needs_the_engine(engine, shared):
    with pytest.raises(UserError, match=r"(?s)no engine yet.*modelstack tools"):
        backend.stacks()


@pytest.mark.parametrize("url", ["", "file:///elsewhere/.modelstack/state", "file:///elsewhere/.modelstack/state/"])
def test_without_a_shared_backend_the_states_are_in_this_checkout(engine, monkeypatch, url):
    monkeypatch.setenv("PULUMI_BACKEND_URL", url)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of another backend")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "/elsewhere")
    found = variables.variables()
    assert found["PULUMI_BACKEND_URL"] == paths.BACKEND.as_uri(), "the shell may have evaluated `env` of another checkout"
    assert found["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(paths.PASSPHRASE)
    assert "PULUMI_CONFIG_PASSPHRASE" not in found
    assert "PULUMI_CONFIG_PASSPHRASE" not in variables.without_foreign_passphrase(dict(os.environ))


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_a_shared_backend_is_opened_with_its_own_passphrase(engine, monkeypatch, shared, name):
    monkeypatch.setenv(name, "of the team")
    found = variables.without_foreign_passphrase(variables.variables())
    assert (found["PULUMI_BACKEND_URL"], found[name]) == ("s3://team", "of the team")


def test_the_checkout_s_programs_come_first_on_path_and_only_once(engine, monkeypatch):
    own = [str(paths.BIN), str(Path(sys.executable).parent)]
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", *own, "/bin"]))
    assert variables.variables()["PATH"].split(os.pathsep) == [*own, "/usr/bin", "/bin"]


@pytest.mark.parametrize("team", [True, False])
def test_the_lines_for_a_shell_quote_values_and_unset_a_passphrase_only_if_it_is_foreign(engine, monkeypatch, team):
    monkeypatch.setattr(paths, "KUBECONFIG", Path("/a folder/$HOME/kubeconfig"))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "p")
    if team:
        monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://team")
    script = f"{variables.export_lines()}\n{shlex.quote(sys.executable)} -c {shlex.quote(PRINT)}"
    printed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("\n")
    assert printed[:2] == ["/a folder/$HOME/kubeconfig", "p" if team else "None"]


PRINT = "import os; print(os.environ['KUBECONFIG']); print(os.environ.get('PULUMI_CONFIG_PASSPHRASE'))"
