"""One stack of this checkout, reached through Pulumi's Automation API."""

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
from delivery.stacks.events import Watcher
from delivery.stacks.updates import update_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from common.progress import Progress
    from delivery.stacks.updates import Update


class Stack:
    """One stack. `name` is as in `pulumi stack select`."""

    def __init__(self, name: str, opened: automation.Stack, engine: Engine) -> None:
        """Wraps a stack that is selected: see `select` and `create`."""
        self.name, self._stack, self._engine = name, opened, engine

    @classmethod
    def select(cls, name: str) -> Stack:
        """The stack of that name.

        Raises:
            UserError: there is no such stack here.
        """
        return cls._opened(name, automation.select_stack)

    @classmethod
    def create(cls, name: str) -> Stack:
        """The stack of that name, created if there is none.

        Raises:
            UserError: it cannot be opened.
        """
        return cls._opened(name, automation.create_or_select_stack)

    @classmethod
    def _opened(cls, name: str, open_stack: Callable[..., automation.Stack]) -> Stack:
        if not (paths.BIN / "pulumi").exists():
            raise no_engine(name)
        backend.prepare()
        engine = Engine()
        options = automation.LocalWorkspaceOptions(pulumi_command=engine, env_vars=variables.variables())
        try:
            return cls(name, open_stack(stack_name=name, work_dir=str(paths.CHECKOUT), opts=options), engine)
        except automation.StackNotFoundError:
            raise no_stack(name) from None
        except CommandError as error:
            raise cannot_open(name, str(error)) from None

    def command(self, *args: str) -> str:
        """Runs `pulumi ARGS --stack NAME` and gives what it printed."""
        try:
            done = self._engine.run([*args, "--stack", self.name], str(paths.CHECKOUT), variables.variables())
        except CommandError as error:
            raise EngineError(
                f"`pulumi {' '.join(args[:2])}` failed on stack {self.name}.", found=last_lines(str(error))
            ) from None
        return done.stdout

    def updates(self) -> list[Update]:
        """What the engine recorded of every update, the newest first."""
        return [update_of(summary) for summary in self._stack.history()]

    def preview(self, progress: Progress) -> int:
        """How many resources an update would change, outputs aside."""
        with progress.step("plan") as step, _failing_as("preview", self.name, Watcher(step)) as watcher:
            self._stack.preview(on_event=watcher)
            step.note(f"{len(watcher.changes)} to change" if watcher.changes else "nothing to change")
            return len(watcher.changes)

    def up(self, progress: Progress, expected: int | None = None) -> dict[str, str]:
        """Updates the stack and gives what changed, URN to operation."""
        with progress.step("apply") as step, _failing_as("up", self.name, Watcher(step, expected)) as watcher:
            self._stack.up(on_event=watcher)
            return watcher.changes

    def refresh(self, progress: Progress, targets: list[str]) -> None:
        """Reads `targets` (URNs) from their providers into the state."""
        with progress.step("refresh") as step, _failing_as("refresh", self.name, Watcher(step)) as watcher:
            self._stack.refresh(target=targets, on_event=watcher)

    def destroy(self, progress: Progress) -> None:
        """Destroys everything in the stack."""
        expected = len(self.state().get("resources", []))
        with progress.step("destroy") as step, _failing_as("destroy", self.name, Watcher(step, expected)) as watcher:
            self._stack.destroy(on_event=watcher)

    def state(self) -> dict[str, Any]:  # JSON of the engine
        """The deployment as the engine exports it, secrets encrypted."""
        exported: dict[str, Any] = json.loads(self.command("stack", "export"))  # JSON of the engine
        return exported.get("deployment") or {}

    def replace_state(self, deployment: dict[str, Any]) -> None:  # JSON of the engine
        """Writes a deployment that `state` gave, changed."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "deployment.json"
            file.write_text(json.dumps({"version": 3, "deployment": deployment}), encoding="utf-8")
            self.command("stack", "import", "--file", str(file))

    def remove(self) -> None:
        """Forgets the stack: state and history. Its stack file stays."""
        self.command("stack", "rm", "--yes", "--force", "--preserve-config")


@contextlib.contextmanager
def _failing_as(operation: str, stack: str, watcher: Watcher) -> Generator[Watcher]:
    """Turns the engine's failure into one UserError with its diagnostics."""
    try:
        yield watcher
    except CommandError as error:
        said = "\n".join(dict.fromkeys(watcher.diagnostics)) or last_lines(str(error))
        raise EngineError(
            f"`pulumi {operation}` failed on stack {stack}:\n\n{said}\n",
            fix="mend that, then run the same command again: it goes on from where it stopped",
        ) from None
