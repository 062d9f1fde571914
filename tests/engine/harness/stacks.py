"""Stacks whose programs are functions of the tests, and what the real engine does with them."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "1b47061264138c4ac30d75fd1eb44270"


@dataclass
class EngineOutcome:
    """What one operation did, as the engine's events tell it."""

    operations: dict[str, list[str]] = field(default_factory=dict)
    """By logical name: create, update, same, replace, ..."""
    differences: dict[str, dict[str, str]] = field(default_factory=dict)
    replaced_by: dict[str, list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failed: bool = False
    outputs: dict[str, Any] = field(default_factory=dict)

    def see(self, event: dict[str, Any]) -> None:
        for part in ("resourcePreEvent", "resOutputsEvent"):
            done = event.get(part, {}).get("metadata")
            if done is None or "pulumi:" in done["type"]:
                continue
            name = done["urn"].split("::")[-1]
            operations = self.operations.setdefault(name, [])
            if done["op"] not in operations:
                operations.append(done["op"])
            if done.get("detailedDiff"):
                self.differences[name] = {path: one["diffKind"] for path, one in done["detailedDiff"].items()}
            if done.get("keys"):
                self.replaced_by[name] = sorted(done["keys"])
        told = event.get("diagnosticEvent")
        if told and told["severity"] in {"error", "warning"}:
            texts = self.errors if told["severity"] == "error" else self.warnings
            texts.append(re.sub(r"<\{%[^%]*%\}>", "", told["message"]))

    @property
    def error(self) -> str:
        return "\n".join(self.errors)


class Stack:
    """A stack of its own backend. One process a run: starting the engine is what such a test spends its time on."""

    def __init__(self, home: Path, folder: Path, environment: dict[str, str], programs: int) -> None:
        shutil.copytree(home / "empty", folder, dirs_exist_ok=True)
        self.folder, self._programs, self._runs = folder, programs, 0
        self._pulumi = home / "bin" / "pulumi"
        self.environment = {**os.environ, **engine_environment(home, folder), **environment}

    def run(self, operation: str, *flags: str) -> EngineOutcome:
        """Runs preview, up, refresh or destroy; what it did, failed or not."""
        self._runs += 1
        events, seen = self.folder / f"events-{self._runs}", EngineOutcome()
        inline = (
            ["--exec-kind", "auto.inline", f"--client=127.0.0.1:{self._programs}"] if operation in {"preview", "up"} else []
        )
        done = self.pulumi(operation, *flags, *(inline if operation in {"preview", "up"} else ()), "--event-log", str(events))
        for line in events.read_text().splitlines() if events.exists() else ():
            seen.see(json.loads(line))
        seen.failed = done.returncode != 0
        if seen.failed and not seen.errors:
            seen.errors = [done.stdout + done.stderr]
        if operation == "up":
            seen.outputs = self._outputs()
        return seen

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [self._pulumi, *words, "--stack=tests", "--non-interactive"]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)

    def declare(self, program: Callable[..., None], arguments: dict[str, Any]) -> None:
        """What the next operations run: a function of a test module."""
        wanted = {"file": inspect.getfile(program), "name": program.__name__, "arguments": arguments}
        (self.folder / "program.json").write_text(json.dumps(wanted))

    def preview(self, program: Callable[..., None], **arguments: Any) -> EngineOutcome:
        self.declare(program, arguments)
        return self.run("preview", "--diff")

    def up(self, program: Callable[..., None], **arguments: Any) -> EngineOutcome:
        self.declare(program, arguments)
        return self.run("up", "--diff", "--yes", "--skip-preview")

    def refresh(self) -> EngineOutcome:
        return self.run("refresh", "--yes", "--skip-preview")

    def destroy(self) -> EngineOutcome:
        return self.run("destroy", "--yes", "--skip-preview")

    def resources(self) -> list[dict[str, Any]]:
        """The state's resources, encrypted where secret."""
        file = self.folder / ".pulumi" / "stacks" / "tests" / "tests.json"
        return json.loads(file.read_text())["checkpoint"]["latest"].get("resources", [])

    def state(self, name: str) -> dict[str, Any]:
        """One resource of the state."""
        found = [one for one in self.resources() if one["urn"].split("::")[-1] == name]
        assert found, f"{name} is not in the state"
        return found[0]

    def state_text(self) -> str:
        return json.dumps(self.resources())

    def _outputs(self) -> dict[str, Any]:
        exports = [one.get("outputs", {}) for one in self.resources() if one["type"] == "pulumi:pulumi:Stack"]
        if SECRET not in json.dumps(exports):
            return exports[0] if exports else {}
        return json.loads(self.pulumi("stack", "output", "--json", "--show-secrets").stdout)

    @contextmanager
    def under_way(self, program: Callable[..., None], **arguments: Any) -> Iterator[Thread]:
        """Runs `up` beside the test, which has to end it; the outcome is in the thread's `outcome`."""
        thread = Thread(self, program, arguments)
        thread.start()
        try:
            yield thread
        finally:
            thread.join(60)
            assert not thread.is_alive(), "the operation has to end"


def engine_environment(home: Path, folder: Path) -> dict[str, str]:
    return {
        "PULUMI_BACKEND_URL": f"file://{folder}",
        "PULUMI_CONFIG_PASSPHRASE": "tests",
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "PULUMI_DEBUG_COMMANDS": "true",
    }


class Thread(threading.Thread):
    """An `up` under way."""

    outcome: EngineOutcome

    def __init__(self, stack: Stack, program: Callable[..., None], arguments: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._stack, self._program, self._arguments = stack, program, arguments

    def run(self) -> None:
        self.outcome = self._stack.up(self._program, **self._arguments)

    @staticmethod
    def engine() -> psutil.Process:
        """The engine that this process runs."""
        found = [one for one in psutil.Process().children() if one.name() == "pulumi"]
        assert len(found) == 1, f"one engine has to run, not {found}"
        return found[0]
