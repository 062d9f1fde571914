"""Pulumi in this process: it answers the commands of `delivery.stacks`, and its states are behind a backend on the network.

Each command reads the backend over HTTP first and fails as the engine does if it cannot: with exit code 255 and `error: ...`.
`tests/faults/test_engine.py` shows that the real engine fails as well.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.stacks import stack_file
from delivery.stacks.process import ProcessResult
from tests.faults.injector import Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

backend_seconds = 30.0
"""How long the engine waits for the backend; `tests.faults.hurry` shortens it."""
JSON = dict[str, Any]
EMPTY: JSON = {"outputs": {}, "deployment": {"manifest": {}, "resources": []}, "applied": None, "history": []}


class FakeBackend:
    """A store of states: `GET /states`, `GET /states/<stack>`, and `PUT` and `DELETE` of these."""

    def __init__(self) -> None:
        self.states: dict[str, JSON] = {}

    @staticmethod
    def refusal(status: int) -> Response:
        return Response({"code": status, "message": f"injected {status}"}, status, {"Content-Type": "application/json"})

    def __call__(self, request: Request) -> Response:
        stack = request.path.removeprefix("/states").lstrip("/")
        match request.method:
            case "PUT":
                self.states[stack] = request.json
            case "DELETE":
                del self.states[stack]
        if not stack:
            return Response({"stacks": sorted(self.states)})
        if request.method == "GET" and stack not in self.states:
            return Response({"code": 404, "message": "no such stack"}, 404, {"X-Backend": "states"})
        return Response(self.states.get(stack, {}))


class BackendError(Exception):
    """The backend does not answer as it should."""


@dataclass
class FakeEngine:
    """The engine. `url` is the address of its backend. `changes`: what an update does to the environment."""

    url: str
    calls: list[str] = field(default_factory=list)

    def run(
        self, _command: str, args: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str] | None = None
    ) -> ProcessResult:
        """Takes the place of `delivery.stacks.process.run`."""
        words = [word for word in args if word not in {"--skip-preview", "--yes", "--non-interactive"}]
        self.calls.append(" ".join(words))
        try:
            return ProcessResult(stdout=self._answer(words, cwd), stderr="", code=0)
        except BackendError as error:
            return ProcessResult(stdout="", stderr=f"error: {error}", code=255)
        finally:
            if "--event-log" in words:  # whoever reads the events waits for this one
                with Path(words[words.index("--event-log") + 1]).open("a") as events:
                    events.writelines(f"{json.dumps(event)}\n" for event in _END)

    def _answer(self, words: list[str], cwd: str | None) -> str:  # noqa: PLR0911 one for each command
        stack = words[words.index("--stack") + 1] if "--stack" in words else ""
        match words:
            case ["stack", "ls", *_]:
                return json.dumps([{"name": f"organization/modelstack/{name}"} for name in self._ask("GET", "")["stacks"]])
            case ["stack", "init", name, *_]:
                self._ask("PUT", f"/{name}", EMPTY)
                return ""
            case ["stack", "import", *_]:
                file = Path(words[words.index("--file") + 1])
                deployment = json.loads(file.read_text())["deployment"]
                self._ask("PUT", f"/{stack}", {**self._state(stack), "deployment": deployment})
                return ""
            case ["stack", "rm", *_]:
                self._ask("DELETE", f"/{stack}")
                return ""
        state = self._state(stack)
        match words:
            case ["stack", "output", *_]:
                return json.dumps(state["outputs"])
            case ["stack", "export", *_]:
                return json.dumps({"version": 3, "deployment": state["deployment"]})
            case ["stack", "history", *_]:
                return json.dumps(state["history"])
            case ["preview" | "up" | "destroy" | "refresh", *_]:
                return self._update(words, stack, state, Path(cwd or "."))
            case _:
                return ""

    def _update(self, words: list[str], stack: str, state: JSON, folder: Path) -> str:
        wanted = stack_file.releases((folder / f"Pulumi.{stack}.yaml").read_text())
        if words[0] in {"preview", "up"} and "--event-log" in words and wanted != state["applied"]:
            urn = f"urn:pulumi:{stack}::modelstack::kubernetes:apps/v1:Deployment::markdown-stable"
            event = {"sequence": 1, "timestamp": 1, "resourcePreEvent": {"metadata": {**_METADATA, "urn": urn}}}
            Path(words[words.index("--event-log") + 1]).write_text(f"{json.dumps(event)}\n")
        if words[0] == "up":
            self._ask("PUT", f"/{stack}", {**state, "applied": wanted, "history": [UPDATE]})
        if words[0] == "destroy":
            self._ask("PUT", f"/{stack}", {**EMPTY, "history": [UPDATE]})
        return ""

    def _state(self, stack: str) -> JSON:
        return {**EMPTY, **self._ask("GET", f"/{stack}", stack=stack)}

    def _ask(self, method: str, path: str, content: JSON | None = None, *, stack: str = "") -> JSON:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}/states{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=backend_seconds) as response:
                content = json.loads(response.read())
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND and error.headers["X-Backend"]:
                raise BackendError(f"no stack named '{stack}' found") from None
            raise BackendError(f"the backend answers {error.code}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise BackendError(f"the backend cannot be read: {error}") from None
        if not isinstance(content, dict):
            raise BackendError("the backend's answer is no state")
        return content


UPDATE = {
    "kind": "update",
    "startTime": "2026-11-24T10:00:00.000Z",
    "endTime": "2026-11-24T10:01:00.000Z",
    "result": "succeeded",
    "message": "",
    "environment": {},
    "config": {},
}
_METADATA = {"op": "update", "type": "kubernetes:apps/v1:Deployment", "provider": "", "old": None, "new": None}
_SUMMARY = {"maybeCorrupt": False, "durationSeconds": 1, "resourceChanges": {}, "policyPacks": {}}
_END = [{"sequence": 2, "timestamp": 2, "summaryEvent": _SUMMARY}, {"sequence": 3, "timestamp": 3, "cancelEvent": {}}]


def install(folder: Path) -> None:
    """Writes an executable that only says its version: `delivery` looks whether there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pulumi"
    file.write_text("#!/bin/sh\necho v3.259.0\n")
    file.chmod(0o755)
