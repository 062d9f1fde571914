"""One stack of this checkout, through Pulumi's Automation API."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulumi import automation
from pulumi.automation.errors import CommandError

from common import paths
from delivery.stacks import backend, variables
from delivery.stacks.engine import Engine
from delivery.stacks.engine_errors import EngineError, cannot_open, last_lines, no_engine, no_stack
from delivery.stacks.events import EventHandler
from delivery.stacks.updates import from_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from common.progress import Progress
    from delivery.stacks.updates import Update


class Stack:
    """One Pulumi stack. `name` is the name that `pulumi stack select` takes."""

    def __init__(self, name: str, opened: automation.Stack, engine: Engine) -> None:
        """Wraps a stack that is already selected. Use `select` or `create` instead."""
        self.name, self._stack, self._engine = name, opened, engine

    @classmethod
    def select(cls, name: str) -> Stack:
        """Selects an existing stack.

        Raises:
            UserError: the backend has no such stack, the engine is not installed, or the stack cannot be opened.
        """
        return cls._opened(name, automation.select_stack)

    @classmethod
    def create(cls, name: str) -> Stack:
        """Selects a stack, and creates it if the backend does not have it.

        Raises:
            UserError: the engine is not installed, or the stack cannot be opened.
        """
        return cls._opened(name, automation.create_or_select_stack)

    @classmethod
    def _opened(cls, name: str, open_stack: Callable[..., automation.Stack]) -> Stack:
        if not (paths.BIN / "pulumi").exists():
            raise no_engine(name)
        backend.prepare()
        engine = Engine.find()
        options = automation.LocalWorkspaceOptions(pulumi_command=engine, env_vars=variables.variables())
        try:
            return cls(name, open_stack(stack_name=name, work_dir=str(paths.CHECKOUT), opts=options), engine)
        except automation.StackNotFoundError:
            raise no_stack(name) from None
        except CommandError as error:
            raise cannot_open(name, str(error)) from None

    def command(self, *args: str) -> str:
        """Runs `pulumi ARGS --stack NAME` and returns its standard output.

        Raises:
            EngineError: the command failed.
        """
        try:
            done = self._engine.run([*args, "--stack", self.name], str(paths.CHECKOUT), variables.variables())
        except CommandError as error:
            raise EngineError(
                f"`pulumi {' '.join(args[:2])}` failed on stack {self.name}.", found=last_lines(str(error))
            ) from None
        return done.stdout

    def updates(self) -> list[Update]:
        """Returns the engine's records of all updates, the newest first."""
        return [from_summary(summary) for summary in self._stack.history()]

    def preview(self, progress: Progress) -> int:
        """Returns how many resources an update would change. Changed stack outputs do not count."""
        with progress.step("plan") as step, _engine_errors("preview", self.name, EventHandler(step)) as handler:
            self._stack.preview(on_event=handler)
            step.note(f"{len(handler.changes)} to change" if handler.changes else "nothing to change")
            return len(handler.changes)

    def up(self, progress: Progress, expected: int | None = None) -> dict[str, str]:
        """Updates the stack, and returns the resources that changed: URN to operation."""
        with progress.step("apply") as step, _engine_errors("up", self.name, EventHandler(step, expected)) as handler:
            self._stack.up(on_event=handler)
            return handler.changes

    def refresh(self, progress: Progress, targets: list[str]) -> None:
        """Refreshes the state of `targets` (URNs) from their providers."""
        with progress.step("refresh") as step, _engine_errors("refresh", self.name, EventHandler(step)) as handler:
            self._stack.refresh(target=targets, on_event=handler)

    def destroy(self, progress: Progress) -> None:
        """Destroys all resources of the stack."""
        expected = len(self.state().get("resources", []))
        with progress.step("destroy") as step, _engine_errors("destroy", self.name, EventHandler(step, expected)) as handler:
            self._stack.destroy(on_event=handler)

    def state(self) -> dict[str, Any]:  # JSON of the engine
        """Returns the deployment as the engine exports it, with encrypted secrets."""
        exported: dict[str, Any] = json.loads(self.command("stack", "export"))  # JSON of the engine
        return exported.get("deployment") or {}

    def replace_state(self, deployment: dict[str, Any]) -> None:  # JSON of the engine
        """Replaces the state by `deployment`, which has the form that `state` returns."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "deployment.json"
            file.write_text(json.dumps({"version": 3, "deployment": deployment}), encoding="utf-8")
            self.command("stack", "import", "--file", str(file))

    def remove(self) -> None:
        """Removes the stack with its state and history. The stack file stays."""
        self.command("stack", "rm", "--yes", "--force", "--preserve-config")


@contextlib.contextmanager
def _engine_errors(operation: str, stack: str, handler: EventHandler) -> Generator[EventHandler]:
    """Converts a failure of the engine to an `EngineError` that contains the diagnostics of `handler`."""
    try:
        yield handler
    except CommandError as error:
        diagnostics = "\n".join(dict.fromkeys(handler.diagnostics)) or last_lines(str(error))
        raise EngineError(
            f"`pulumi {operation}` failed on stack {stack}:\n\n{diagnostics}\n",
            fix="fix the cause, then run the same command again: it continues where it stopped",
        ) from None
