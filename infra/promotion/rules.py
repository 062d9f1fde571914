"""What a release needs before an environment serves it, and the refusal of those that lack it.

The rules hold for every version that is served, in whatever role: a canary answers customers, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.roles import STABLE
from infra.promotion import approval, requirements
from infra.settings.problems import Problem, refusal
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from infra.promotion.deployed import DeployedRelease, DeployedReleases
    from infra.promotion.requirements import Requirements
    from infra.settings.model import Settings
    from infra.settings.releases import Release, WorkloadReleases
    from workloads.declaration import Workload


def enforce(stack: str, settings: Settings, deployed: DeployedReleases, today: date) -> None:
    """Refuses a stack file that releases a version which does not meet the environment's requirements.

    Raises:
        UserError: every requirement that a release does not meet, and the command that mends it.
    """
    if problems := refusals(stack, settings, deployed, WORKLOADS, today=today):
        raise refusal(f"Pulumi.{stack}.yaml", problems)


def refusals(  # noqa: PLR0913 a function of all that it looks at
    stack: str,
    settings: Settings,
    deployed: DeployedReleases,
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
        deployed: what is deployed here and in the stack that releases come from.
        workloads: the declarations; releases of others are not looked at.
        today: the day up to which the age of the data is counted.
        wanted: what to ask for, if it is not all that the stack requires.
    """
    wanted = wanted or requirements.for_stack(stack)
    return [
        problem
        for name, releases in settings.releases.items()
        if name in workloads
        for role, release in releases.served.items()
        for problem in _refusals(_Case(stack, wanted, workloads[name], releases, role, release, deployed, today))
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
    deployed: DeployedReleases
    today: date

    @property
    def key(self) -> str:
        return f"releases.{self.workload.name}.{self.role}"

    @property
    def what(self) -> str:
        return f"is version {self.release.version}"

    @property
    def served(self) -> bool:
        return self.deployed.serves(self.workload.name, self.release.image)


def _refusals(case: _Case) -> Iterator[Problem]:
    if case.wanted.evidence:
        yield from _gate(case)
    if case.wanted.proven:
        yield from _proven(case)
    if case.wanted.approval:
        yield from _approved(case)


def _gate(case: _Case) -> Iterator[Problem]:
    before = compared_with(case.releases, case.role, case.release, case.deployed.here.get(case.workload.name))
    evidence = case.release.evidence
    found = case.workload.gate.check(evidence.metrics, before, evidence.age(case.today), served=case.served)
    failed = [each for each in found if not each.passed]
    if failed:
        fix = f"train a better version, or go back: `modelstack rollback {case.workload.name} --stack {case.stack}`"
        yield Problem(case.key, f"{case.what}, which does not pass the gate", "; ".join(map(str, failed)), fix=fix)


def compared_with(
    releases: WorkloadReleases, role: str, release: Release, here: DeployedRelease | None
) -> Mapping[str, float] | None:
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
    there = case.deployed.source.get(name)
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
