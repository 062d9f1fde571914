"""`modelstack canary --watch`: looks at a canary beside the stable version, and promotes it or gives it up."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from delivery.environments.environment import Environment
from delivery.releases import edits
from delivery.releases.release_command import ReleasePlan
from delivery.trials import scoreboard
from delivery.trials.pods import Pods
from delivery.trials.verdict import ROLES, Watch, WatchOutcome
from infra.settings.releases import CANARY, STABLE

if TYPE_CHECKING:
    from delivery.releases.edits import Block
    from delivery.releases.release_command import ReleaseCommand
    from delivery.releases.stack_editor import StackEdit, StackEditor
    from delivery.trials.verdict import Sample

CODES: Final = {WatchOutcome.passed: 0, WatchOutcome.failed: 3, WatchOutcome.undecided: 4}
"""What the command ends with. 1 and 2 are refusals: nothing was watched."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A canary beside the stable version, as the stack file has them and the stack runs them."""

    stable: int
    canary: int
    percent: int

    @property
    def versions(self) -> dict[str, int]:
        """By role."""
        return {STABLE: self.stable, CANARY: self.canary}

    @classmethod
    def of(cls, editor: StackEditor) -> Trial:
        """The one there is.

        Raises:
            UserError: there is none, or it does not run, or not on a share of the requests.
        """
        found = cls._written(editor.require_block())
        again = f"modelstack canary {editor.name} --stack {editor.stack}"
        if found is None:
            fix = f"{again} --version VERSION --traffic 10"
            raise UserError(f"There is no canary of {editor.name} in {editor.stack}.", where=editor.file.name, fix=fix)
        here = editor.deployed.here.get(editor.name)
        if here is None or (here.version, here.canary, here.percent) != (found.stable, found.canary, found.percent):
            raise UserError(
                f"What {editor.stack} runs is not what its stack file says: there is nothing to watch yet.",
                where=editor.file.name,
                found=f"the stack file has a canary of version {found.canary} on {found.percent} %",
                fix=f'eval "$(modelstack env)" && pulumi up --stack {editor.stack}',
            )
        if not 0 < found.percent < 100:  # noqa: PLR2004 per cent
            raise UserError(
                "One of the two versions gets no requests: there is nothing to compare.",
                found=f"the canary gets {found.percent} %",
                fix=f"{again} --traffic 10",
            )
        return found

    @classmethod
    def _written(cls, block: Block) -> Trial | None:
        canary = block.get(CANARY)
        return cls(stable=block[STABLE], canary=canary["version"], percent=canary["percent"]) if canary else None

    def ended(self, editor: StackEditor, outcome: WatchOutcome) -> StackEdit:
        """What follows from an outcome for the stack file.

        Raises:
            UserError: somebody has changed the releases meanwhile, or the environment may not serve that.
        """
        block = editor.require_block()
        if self._written(block) != self:
            what = f"The releases of {editor.name} were changed while the canary was watched: nothing follows from that."
            raise UserError(what, where=editor.file.name, fix="watch what is there now")
        if outcome is WatchOutcome.passed:
            return editor.edit(edits.with_stable(block, edits.versions(block)[self.canary]))
        return editor.edit(edits.without(block, CANARY), approval_later=True)


def main(command: ReleaseCommand, seconds: int | None, min_requests: int | None) -> int:
    """Watches, tells, and edits the stack file. Gives the command's exit code."""
    trial = Trial.of(command.editor())
    changes = {"seconds": seconds, "min_requests": min_requests}
    rules = command.workload.canary.model_copy(update={name: value for name, value in changes.items() if value is not None})
    pods = Pods.of(Environment.open(command.stack), command.workload.name)

    def sample() -> Sample:
        return {role: pods.readings(role, trial.versions[role]) for role in ROLES}

    with scoreboard.scoreboard(sys.stderr, rules.seconds) as show:
        verdict = Watch(rules=rules, sample=sample, show=show, clock=time.monotonic, sleep=time.sleep).run()
    if not command.as_json:
        share = f"version {trial.canary} on {trial.percent} % of the requests, beside version {trial.stable}"
        scoreboard.tell(verdict, f"{command.workload.name} in {command.stack}: {share}")
    if verdict.outcome is WatchOutcome.undecided:
        following = f"watch it longer, or with more requests: modelstack {command.name} --stack {command.stack} --watch"
        answer = {"stack": command.stack, "workload": command.workload.name, "changed": False, "diff": "", "written": False}
        print(json.dumps({**verdict.as_json(), **answer, "next": following}) if command.as_json else f"Next: {following}")
    else:
        command.run(lambda editor: ReleasePlan(edit=trial.ended(editor, verdict.outcome), details=verdict.as_json()))
    return CODES[verdict.outcome]
