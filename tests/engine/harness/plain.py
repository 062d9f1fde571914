"""Plain `pulumi` in a project's folder, as its user calls it: our language host runs the program, nothing runs in the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path  # noqa: TC003 - dataclasses look at it

import pytest

from tests.engine.harness.stacks import EngineOutcome


@dataclass
class Project:
    """A project with one stack in a backend of its own."""

    folder: Path
    environment: dict[str, str] = field(repr=False)

    def program(self, text, runtime="python"):
        (self.folder / "Pulumi.yaml").write_text(f"name: tests\nruntime: {runtime}\n")
        (self.folder / "__main__.py").write_text(text)

    def start(self, *arguments):
        return subprocess.Popen(
            ["pulumi", *arguments, "--color", "never", "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments):
        """Status and output."""
        with self.start(*arguments) as process:
            output, _ = process.communicate(timeout=200)
        return process.returncode, output

    def operation(self, name, program=None, *arguments):
        """Runs preview, up, refresh or destroy; what it did, failed or not."""
        if program is not None:
            self.program(program)
        log = self.folder.parent / "events"
        log.unlink(missing_ok=True)
        yes = [] if name == "preview" else ["--yes", "--skip-preview"]
        status, output = self.run(name, *yes, "--event-log", str(log), *arguments)
        seen = EngineOutcome(failed=status != 0)
        for line in log.read_text().splitlines() if log.exists() else []:
            seen.see(json.loads(line))
        if seen.failed:
            seen.errors.append(output)
        elif name == "up":
            seen.outputs = json.loads(self.run("stack", "output", "--json", "--show-secrets")[1])
        return seen

    def preview(self, program=None):
        return self.operation("preview", program)

    def up(self, program=None):
        return self.operation("up", program)

    def refresh(self):
        return self.operation("refresh")

    def destroy(self):
        return self.operation("destroy")

    def stored(self):
        """The state as it lies in the backend: what is secret is encrypted there."""
        (file,) = (self.folder.parent / "state" / ".pulumi" / "stacks").rglob("tests.json")
        return file.read_text()


@pytest.fixture(scope="session")
def template(engine_home, tmp_path_factory):
    """A folder with an empty stack in it, which each test gets a copy of: making one takes the engine half a second."""
    folder = engine_home / "plugins" / f"language-python-v{metadata.version('pulumi')}"
    folder.mkdir(exist_ok=True)
    script = folder / "pulumi-language-python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m local.plugins.language "$@"\n')
    script.chmod(0o755)
    made = opened(tmp_path_factory.mktemp("template"), engine_home)
    (made.folder.parent / "state").mkdir()
    made.folder.mkdir()
    made.program("")
    status, output = made.run("stack", "init", "tests")
    assert status == 0, output
    return made.folder.parent


@pytest.fixture
def project(engine_home, template, tmp_path):
    for name in ("state", "project"):
        shutil.copytree(template / name, tmp_path / name)
    return opened(tmp_path, engine_home)


def opened(folder, home):
    environment = {
        **os.environ,
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "tests",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        "PULUMI_DEBUG_COMMANDS": "true",  # has the flag --event-log
        "PULUMI_STACK": "tests",
    }
    return Project(folder / "project", environment)
