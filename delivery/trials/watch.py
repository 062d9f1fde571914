"""`modelstack canary --watch`: looks at a canary beside the stable version, and promotes it or gives it up."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from delivery.environments.access import Access
from delivery.releases import edits
from delivery.trials import scoreboard
from delivery.trials.pods import Pods
from delivery.trials.verdict import ROLES, Outcome, Watch
from infra.settings.releases import CANARY, STABLE

if TYPE_CHECKING:
    from delivery.releases.edits import Block
    from delivery.releases.promoter import Desk, Edit
    from delivery.releases.release_command import Move
    from delivery.trials.verdict import Sample

CODES: Final = {Outcome.passed: 0, Outcome.failed: 3, Outcome.undecided: 4}
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
    def of(cls, desk: Desk) -> Trial:
        """The one there is.

        Raises:
            UserError: there is none, or it does not run, or not on a share of the requests.
        """
        found = cls._written(desk.released())
        again = f"modelstack canary {desk.name} --stack {desk.stack}"
        if found is None:
            fix = f"{again} --version VERSION --traffic 10"
            raise UserError(f"There is no canary of {desk.name} in {desk.stack}.", where=desk.file.name, fix=fix)
        here = desk.known.here.get(desk.name)
        if here is None or (here.version, here.canary, here.percent) != (found.stable, found.canary, found.percent):
            raise UserError(
                f"What {desk.stack} runs is not what its stack file says: there is nothing to watch yet.",
                where=desk.file.name,
                found=f"the stack file has a canary of version {found.canary} on {found.percent} %",
                fix=f'eval "$(modelstack env)" && pulumi up --stack {desk.stack}',
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

    def ended(self, desk: Desk, outcome: Outcome) -> Edit:
        """What follows from an outcome for the stack file.

        Raises:
            UserError: somebody has changed the releases meanwhile, or the environment may not serve that.
        """
        block = desk.released()
        if self._written(block) != self:
            what = f"The releases of {desk.name} were changed while the canary was watched: nothing follows from that."
            raise UserError(what, where=desk.file.name, fix="watch what is there now")
        if outcome is Outcome.passed:
            return desk.edit(edits.with_stable(block, edits.versions(block)[self.canary]))
        return desk.edit(edits.without(block, CANARY), approval_later=True)


def main(move: Move, seconds: int | None, min_requests: int | None) -> int:
    """Watches, tells, and edits the stack file. Gives the command's exit code."""
    trial = Trial.of(move.desk)
    changes = {"seconds": seconds, "min_requests": min_requests}
    rules = move.workload.canary.model_copy(update={name: value for name, value in changes.items() if value is not None})
    pods = Pods.of(Access.to(move.stack), move.workload.name)

    def sample() -> Sample:
        return {role: pods.readings(role, trial.versions[role]) for role in ROLES}

    with scoreboard.scoreboard(sys.stderr, rules.seconds) as show:
        verdict = Watch(rules=rules, sample=sample, show=show, clock=time.monotonic, sleep=time.sleep).run()
    if not move.as_json:
        share = f"version {trial.canary} on {trial.percent} % of the requests, beside version {trial.stable}"
        scoreboard.tell(verdict, f"{move.workload.name} in {move.stack}: {share}")
    if verdict.outcome is Outcome.undecided:
        following = f"watch it longer, or with more requests: modelstack {move.command} --stack {move.stack} --watch"
        told = {"stack": move.stack, "workload": move.workload.name, "changed": False, "diff": "", "written": False}
        print(json.dumps({**verdict.told(), **told, "next": following}) if move.as_json else f"Next: {following}")
    else:
        move.make(lambda: trial.ended(move.desk, verdict.outcome), told=verdict.told())
    return CODES[verdict.outcome]
