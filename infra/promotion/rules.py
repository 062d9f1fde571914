"""What a release needs before an environment serves it, and the refusal of those that lack it.

The requirements are code, reviewed like code, and not in the stack files: whoever edits a release could otherwise edit what is
asked of it in the same line. They hold for every version that is served, in whatever role: a canary answers customers, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from infra.promotion import approval
from infra.settings.problems import Problem, refusal
from infra.settings.releases import STABLE
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from infra.settings.model import Settings
    from infra.settings.releases import Release, WorkloadReleases
    from workloads.declaration import Workload


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What one environment asks of a release."""

    source: str | None
    """The stack that releases come from by promotion; None where they are made."""
    evidence: bool = False
    """Whether its back-test has to pass the workload's gate."""
    approval: bool = False
    """Whether somebody other than its trainer has to have approved it for this environment."""
    proven: bool = False
    """Whether the same image has to be stable in `source`."""


REQUIREMENTS: Final[Mapping[str, Requirements]] = {
    "dev": Requirements(source=None),
    "stage": Requirements(source="dev", evidence=True),
    "prod": Requirements(source="stage", evidence=True, approval=True, proven=True),
}
"""By stack, in the order that releases take."""


def requirements(stack: str) -> Requirements:
    """What a stack asks for. One that is not listed asks for everything: forgetting to list it opens no door."""
    return REQUIREMENTS.get(stack, REQUIREMENTS["prod"])


def origin(stack: str) -> str:
    """The stack in which the releases of a stack are made: the first one on their way."""
    while (source := requirements(stack).source) is not None:
        stack = source
    return stack


@dataclass(frozen=True, kw_only=True)
class Stable:
    """What a stack said, after its last update, that a workload's endpoint answers with."""

    version: int
    image: str
    """Digest."""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    proven: frozenset[str] = frozenset()
    """Digests of the images that have been served there, those that can be gone back to included."""
    canary: int | None = None
    percent: int = 0
    """Of the requests, to the canary."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is stable, by workload, as the stacks' own outputs tell it: not what somebody has written into a file since."""

    here: Mapping[str, Stable] = field(default_factory=dict[str, Stable])
    source: Mapping[str, Stable] = field(default_factory=dict[str, Stable])

    def serves(self, workload: str, image: str | None) -> bool:
        """Whether an image is served here, or was and is kept to go back to."""
        here = self.here.get(workload)
        return here is not None and image in here.proven


def enforce(stack: str, settings: Settings, known: Known, today: date) -> None:
    """Lets the environment serve what its stack file releases, or does not.

    Raises:
        UserError: every requirement that a release does not meet, and the command that mends it.
    """
    if problems := refusals(stack, settings, known, WORKLOADS, today=today):
        raise refusal(f"Pulumi.{stack}.yaml", problems)


def refusals(  # noqa: PLR0913 a function of all that it looks at
    stack: str,
    settings: Settings,
    known: Known,
    workloads: Mapping[str, Workload],
    *,
    today: date,
    wanted: Requirements | None = None,
) -> list[Problem]:
    """Why the environment may not serve what its stack file releases; empty where it may.

    The age of the data is that at the moment a release comes new into the environment. What it serves, or did and goes back
    to, is not asked again: a stack that nobody has changed must not begin to fail because days pass, and going back must
    always work.

    Args:
        stack: the environment.
        settings: what its stack file says.
        known: what is stable.
        workloads: the declarations; releases of others are not looked at.
        today: the day up to which the age of the data is counted.
        wanted: what to ask for, if it is not all that the stack requires.
    """
    wanted = wanted or requirements(stack)
    return [
        problem
        for name, releases in settings.releases.items()
        if name in workloads
        for role, release in releases.served.items()
        for problem in _refusals(_Case(stack, wanted, workloads[name], releases, role, release, known, today))
    ]


@dataclass(frozen=True)
class _Case:
    """One release in one role."""

    stack: str
    wanted: Requirements
    workload: Workload
    releases: WorkloadReleases
    role: str
    release: Release
    known: Known
    today: date

    @property
    def key(self) -> str:
        return f"releases.{self.workload.name}.{self.role}"

    @property
    def what(self) -> str:
        return f"is version {self.release.version}"

    @property
    def served(self) -> bool:
        return self.known.serves(self.workload.name, self.release.image)


def _refusals(case: _Case) -> Iterator[Problem]:
    if case.wanted.evidence:
        yield from _gate(case)
    if case.wanted.proven:
        yield from _proven(case)
    if case.wanted.approval:
        yield from _approved(case)


def _gate(case: _Case) -> Iterator[Problem]:
    before = compared_with(case.releases, case.role, case.release, case.known.here.get(case.workload.name))
    evidence = case.release.evidence
    found = case.workload.gate.check(evidence.metrics, before, evidence.age(case.today), served=case.served)
    failed = [each for each in found if not each.passed]
    if failed:
        fix = f"train a better version, or go back: `modelstack rollback {case.workload.name} --stack {case.stack}`"
        yield Problem(case.key, f"{case.what}, which does not pass the gate", "; ".join(map(str, failed)), fix=fix)


def compared_with(releases: WorkloadReleases, role: str, release: Release, here: Stable | None) -> Mapping[str, float] | None:
    """The metrics of what a release must not be much worse than.

    A canary and a shadow are compared with the stable version beside them. A new stable version is compared with the one it
    takes over from; one that was gone back to, with the newest older one that is kept, for what it takes over from is newer.
    """
    if role != STABLE:
        beside = releases.find(releases.stable)
        return beside.evidence.metrics if beside else None
    if here is not None and here.version < release.version:
        return here.metrics
    return releases.previous.evidence.metrics if releases.previous else None


def _proven(case: _Case) -> Iterator[Problem]:
    source, name = case.wanted.source, case.workload.name
    there = case.known.source.get(name)
    # What is served here, or was and is gone back to, was proven when it came: by now the source is further.
    if case.served or (there is not None and case.release.image == there.image):
        return
    found = f"version {there.version}, image {there.image}" if there else f"nothing is stable in {source}"
    what = f"{case.what}, whose image is not the one that is stable in {source}"
    fix = f"modelstack promote {name} --to {source} --version {case.release.version}, and bring {source} up with it"
    yield Problem(case.key, what, found, f"image {case.release.image}", fix)


def _approved(case: _Case) -> Iterator[Problem]:
    reason = approval.objection(case.stack, case.workload.name, case.release, case.workload.approvers)
    if reason:
        fix = f"modelstack approve {case.workload.name} --version {case.release.version} --stack {case.stack}"
        yield Problem(case.key, f"{case.what}, which is not approved for {case.stack}", reason, fix=fix)
