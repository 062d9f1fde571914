"""`modelstack canary --watch`: watches a canary, and then makes it stable in the stack file or removes it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from common.roles import CANARY, STABLE
from delivery.environments.environment import Environment
from delivery.releases import edits
from delivery.releases.release_command import ReleasePlan
from delivery.trials import scoreboard
from delivery.trials.pods import Pods
from delivery.trials.verdict import ROLES, Watch, WatchOutcome

if TYPE_CHECKING:
    from delivery.releases.edits import Block
    from delivery.releases.release_command import ReleaseCommand
    from delivery.releases.stack_editor import StackEdit, StackEditor
    from delivery.trials.verdict import Sample

CODES: Final = {WatchOutcome.passed: 0, WatchOutcome.failed: 3, WatchOutcome.undecided: 4}
"""Exit codes of the command. Codes 1 and 2 mean that the command refused and edited nothing."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A canary and the stable version that it is compared with, in the stack file and in the running stack."""

    stable: int
    """Version number of the stable version."""
    canary: int
    """Version number of the canary."""
    percent: int
    """Share of the requests that go to the canary, in per cent."""

    @property
    def versions(self) -> dict[str, int]:
        """Version numbers by role."""
        return {STABLE: self.stable, CANARY: self.canary}

    @classmethod
    def from_editor(cls, editor: StackEditor) -> Trial:
        """Returns the trial of the editor's workload.

        Raises:
            UserError: the stack file has no canary, the stack does not run that canary, or one of the two versions receives no
                requests.
        """
        trial = cls._from_block(editor.require_block())
        command = f"modelstack canary {editor.name} --stack {editor.stack}"
        if trial is None:
            fix = f"{command} --version VERSION --traffic 10"
            raise UserError(f"There is no canary of {editor.name} in {editor.stack}.", where=editor.file.name, fix=fix)
        here = editor.deployed.here.get(editor.name)
        if here is None or (here.version, here.canary, here.percent) != (trial.stable, trial.canary, trial.percent):
            raise UserError(
                f"{editor.stack} does not run the canary of its stack file yet: there is nothing to watch.",
                where=editor.file.name,
                found=f"the stack file has a canary of version {trial.canary} on {trial.percent} %",
                fix=f'eval "$(modelstack env)" && pulumi up --stack {editor.stack}',
            )
        if not 0 < trial.percent < 100:  # noqa: PLR2004 per cent
            raise UserError(
                "One of the two versions receives no requests: there is nothing to compare.",
                found=f"the canary receives {trial.percent} %",
                fix=f"{command} --traffic 10",
            )
        return trial

    @classmethod
    def _from_block(cls, block: Block) -> Trial | None:
        canary = block.get(CANARY)
        return cls(stable=block[STABLE], canary=canary["version"], percent=canary["percent"]) if canary else None

    def conclude(self, editor: StackEditor, outcome: WatchOutcome) -> StackEdit:
        """Returns the edit of the stack file: a canary that passed becomes stable, any other canary is removed.

        Raises:
            UserError: somebody has changed the releases since the watch began, or the canary does not meet the requirements of
                the environment for a stable version.
        """
        block = editor.require_block()
        if self._from_block(block) != self:
            what = f"The releases of {editor.name} were changed while the canary was watched: the stack file is not edited."
            raise UserError(what, where=editor.file.name, fix="run the command again to watch the current canary")
        if outcome is WatchOutcome.passed:
            return editor.edit(edits.with_stable(block, edits.versions(block)[self.canary]))
        return editor.edit(edits.without(block, CANARY), approval_later=True)


def main(command: ReleaseCommand, seconds: int | None, min_requests: int | None) -> int:
    """Watches the canary, prints the verdict and edits the stack file. Returns the command's exit code.

    Args:
        command: the command with its workload, stack and options.
        seconds: length of the watch; None for the workload's own rule.
        min_requests: requests that each version must have answered; None for the workload's own rule.
    """
    trial = Trial.from_editor(command.editor())
    changes = {"seconds": seconds, "min_requests": min_requests}
    rules = command.workload.canary.model_copy(update={name: value for name, value in changes.items() if value is not None})
    pods = Pods.from_environment(Environment(command.tier), command.workload.name)

    def sample() -> Sample:
        return {role: pods.readings(role, trial.versions[role]) for role in ROLES}

    with scoreboard.scoreboard(sys.stderr, rules.seconds) as show:
        verdict = Watch(rules=rules, sample=sample, show=show, clock=time.monotonic, sleep=time.sleep).run()
    if not command.as_json:
        share = f"version {trial.canary} on {trial.percent} % of the requests, beside version {trial.stable}"
        scoreboard.print_verdict(verdict, f"{command.workload.name} in {command.stack}: {share}")
    if verdict.outcome is WatchOutcome.undecided:
        again = f"modelstack {command.name} --stack {command.stack} --watch"
        next_step = f"watch the canary longer, or send more requests: {again}"
        answer = {**verdict.as_json(), **command.answer(None), "next": next_step}
        print(json.dumps(answer) if command.as_json else f"Next: {next_step}")
    else:
        command.run(lambda editor: ReleasePlan(edit=trial.conclude(editor, verdict.outcome), details=verdict.as_json()))
    return CODES[verdict.outcome]
