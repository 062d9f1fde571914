"""What the commands share that change what an environment serves: show the diff, copy what is needed, write, update, report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from delivery.console.progress import reporter
from delivery.releases.stack_editor import find_workload, open_editor
from delivery.stacks import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from delivery.releases.stack_editor import StackEdit, StackEditor
    from workloads.declaration import Workload


def nothing() -> None:
    """Copies nothing."""


@dataclass(frozen=True, kw_only=True)
class ReleasePlan:
    """What a command is going to do.

    Args:
        edit: the change of the stack file.
        copy: copies what has to be there before the file is written. It runs also if the edit is empty: what was lost since is
            copied again.
        following: the next command, if it is not to update the stack.
        details: what `--json` prints besides.
    """

    edit: StackEdit
    copy: Callable[[], None] = nothing
    following: str = ""
    details: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, kw_only=True)
class ReleaseCommand:
    """One command about one workload in one stack.

    Args:
        name: the command as the user gave it, for the lock.
        stack: the environment.
        workload: the declaration.
        dry_run: whether only to show the change.
        as_json: whether to print JSON, for programs.
        apply: whether to update the stack afterwards.
    """

    name: str
    stack: str
    workload: Workload
    dry_run: bool = False
    as_json: bool = False
    apply: bool = False

    @classmethod
    def for_workload(  # noqa: PLR0913 each is an option of the commands
        cls, name: str, stack: str, workload: str, *, dry_run: bool = False, as_json: bool = False, apply: bool = False
    ) -> ReleaseCommand:
        """The command about a workload of that name.

        Raises:
            UserError: no workload has that name.
        """
        found = find_workload(workload)
        return cls(name=name, stack=stack, workload=found, dry_run=dry_run, as_json=as_json, apply=apply)

    def editor(self) -> StackEditor:
        """What the stack file and the engine say now."""
        return open_editor(self.stack, self.workload)

    def run(self, plan: Callable[[StackEditor], ReleasePlan]) -> None:
        """Makes the plan and carries it out, all of it under one lock: what is applied is what was written.

        The answer to `--json` comes last, when the update has succeeded.

        Args:
            plan: makes the plan from what the stack file says at that moment.

        Raises:
            UserError: another command is running, or whatever the plan, the copy or the update raises.
        """
        with lock.exclusive(self.name):
            made = plan(self.editor())
            changed = bool(made.edit.diff)
            if not self.dry_run:
                made.copy()
                if changed:
                    made.edit.write()
            if not self.as_json:
                print(made.edit.diff or "It is so already: nothing changes.", flush=True)
            if self._applies:
                self._update()
        following = made.following or self._next()
        if self.as_json:
            print(json.dumps({**made.details, **self._answer(made.edit), "next": following}))
        elif changed:
            print("Nothing was written." if self.dry_run else f"Next: {following}")

    @property
    def _applies(self) -> bool:
        return self.apply and not self.dry_run

    def _next(self) -> str:
        return "modelstack status" if self._applies else f'eval "$(modelstack env)" && pulumi up --stack {self.stack}'

    def _answer(self, edit: StackEdit) -> dict[str, object]:
        changed = bool(edit.diff)
        return {
            "stack": self.stack,
            "workload": self.workload.name,
            "changed": changed,
            "diff": edit.diff,
            "written": changed and not self.dry_run,
            "applied": self._applies,
        }

    def _update(self) -> None:
        from delivery.stacks.stack import Stack

        with reporter(self.name.split()[0]) as progress:
            stack = Stack.select(self.stack)
            stack.up(progress, stack.preview(progress))
