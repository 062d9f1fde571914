"""The steps of promote, canary, shadow, approve and rollback: plan, copy, write the file, print the diff, update."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from delivery.console.progress import reporter
from delivery.releases.stack_editor import find_workload, open_editor
from delivery.stacks import lock, tiers_file
from infra import live_cluster
from infra.settings import loading
from infra.tiers import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from delivery.releases.stack_editor import StackEdit, StackEditor
    from infra.tiers.model import StackTier
    from workloads.declaration import Workload


def nothing() -> None:
    """Copies nothing."""


@dataclass(frozen=True, kw_only=True)
class ReleasePlan:
    """The changes that a command makes.

    Args:
        edit: the edit of the stack file.
        copy: copies images and models before the file is written. It runs also if the edit is empty, so a copy that was lost in
            the meantime is restored.
        next_step: what the user does next, if it is not the update of the environment.
        details: additional fields of the `--json` answer.
    """

    edit: StackEdit
    copy: Callable[[], None] = nothing
    next_step: str = ""
    details: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, kw_only=True)
class ReleaseCommand:
    """A command that changes the releases of one workload in one environment.

    Args:
        name: the command and its workload, for example `promote markdown`; the lock shows it to other commands.
        tier: the stack of the environment, with its tier and its source.
        workload: the declaration of the workload.
        dry_run: show the change only: copy nothing and write nothing.
        as_json: print the result as JSON, for programs.
        apply: update the environment after the file is written.
    """

    name: str
    tier: StackTier
    workload: Workload
    dry_run: bool = False
    as_json: bool = False
    apply: bool = False

    @classmethod
    def for_workload(  # noqa: PLR0913 each is an option of the commands
        cls, name: str, stack: str, workload: str, *, dry_run: bool = False, as_json: bool = False, apply: bool = False
    ) -> ReleaseCommand:
        """Returns the command for the workload and the stack with the given names.

        Raises:
            UserError: no workload has this name, there is no such stack file, or no tier lists the stack.
        """
        declaration = find_workload(workload)
        return cls(
            name=name, tier=tiers_file.resolve(stack), workload=declaration, dry_run=dry_run, as_json=as_json, apply=apply
        )

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self.tier.stack

    def editor(self) -> StackEditor:
        """Returns an editor with the current content of the stack file and the releases that are deployed now."""
        return open_editor(self.tier, self.workload)

    def run(self, plan: Callable[[StackEditor], ReleasePlan]) -> None:
        """Makes the plan and carries it out under one lock.

        No other `modelstack` command changes the stack file between writing it and the end of the update.

        The `--json` answer is printed last, after the update has succeeded.

        Args:
            plan: makes the plan from the current content of the stack file.

        Raises:
            UserError: another command holds the lock, or the plan, the copy or the update fails.
        """
        with lock.exclusive(self.name):
            current = plan(self.editor())
            changed = bool(current.edit.diff)
            if not self.dry_run and (current.copy is not nothing or self.apply):
                # An edit of the file alone needs no access to the cluster: the program checks the target at the next update.
                settings = loading.parse_text(current.edit.before, current.edit.file.name)
                targets.enforce(self.tier, settings, live_cluster.read(settings))
            if not self.dry_run:
                current.copy()
                if changed:
                    current.edit.write()
            if not self.as_json:
                print(current.edit.diff or "The stack file has these releases already: nothing changes.", flush=True)
            if self._applies:
                self._update()
        next_step = current.next_step or self._default_next_step()
        if self.as_json:
            print(json.dumps({**current.details, **self.answer(current.edit), "next": next_step}))
        elif changed:
            print("Nothing was written." if self.dry_run else f"Next: {next_step}")

    @property
    def _applies(self) -> bool:
        return self.apply and not self.dry_run

    def _default_next_step(self) -> str:
        return "modelstack status" if self._applies else f'eval "$(modelstack env)" && pulumi up --stack {self.stack}'

    def answer(self, edit: StackEdit | None) -> dict[str, object]:
        """Returns the part of the `--json` answer that all commands share; `edit` is None if nothing was planned."""
        changed = edit is not None and bool(edit.diff)
        return {
            "stack": self.stack,
            "workload": self.workload.name,
            "changed": changed,
            "diff": edit.diff if edit is not None else "",
            "written": changed and not self.dry_run,
            "applied": edit is not None and self._applies,
        }

    def _update(self) -> None:
        from delivery.stacks.stack import Stack

        with reporter(self.name.split()[0]) as progress:
            stack = Stack.select(self.stack)
            stack.up(progress, stack.preview(progress))
