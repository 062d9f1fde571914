"""Checks releases against the environment's requirements and refuses releases that do not meet them.

The rules apply to each served version, whatever its role: a canary answers customers, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.roles import STABLE
from infra.promotion import approval, approvers
from infra.sections.problems import Problem, refusal
from infra.settings import tour
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from infra.promotion.deployed import DeployedRelease, DeployedReleases
    from infra.settings.model import Settings
    from infra.settings.releases import Release, WorkloadReleases
    from infra.tiers.model import Requirements, StackTier
    from workloads.declaration import Workload


def enforce(tier: StackTier, settings: Settings, deployed: DeployedReleases, today: date) -> None:
    """Refuses a stack file with a release that does not meet the environment's requirements.

    Raises:
        UserError: a release does not meet a requirement. The error lists each such requirement with a command that fixes it.
    """
    workloads = {name: approvers.for_stack(tier.stack, workload) for name, workload in WORKLOADS.items()}
    problems = [*tour.problems(tier.stack, settings), *refusals(tier, settings, deployed, workloads, today=today)]
    if problems:
        raise refusal(f"Pulumi.{tier.stack}.yaml", problems)


def refusals(  # noqa: PLR0913 a pure function: all its inputs are arguments
    tier: StackTier,
    settings: Settings,
    deployed: DeployedReleases,
    workloads: Mapping[str, Workload],
    *,
    today: date,
    required: Requirements | None = None,
) -> list[Problem]:
    """Returns a problem for each requirement that a release in the stack file does not meet.

    The rule on the age of the data applies to releases that are new in the environment. It does not apply to a release that
    the environment serves, or has served and rolls back to: an unchanged stack must not start to fail because time passes,
    and a rollback must always be possible.

    Args:
        tier: the stack of the environment, with its tier and its source.
        settings: the settings in its stack file.
        deployed: the deployed releases of this stack and of its source stack.
        workloads: the declarations by name. Releases of workloads that are not among them are not checked.
        today: the day at which the age of the data is measured.
        required: the requirements to check, if not those of the tier.
    """
    required = required or tier.requirements
    return [
        problem
        for name, releases in settings.releases.items()
        if name in workloads
        for role, release in releases.served.items()
        for problem in _refusals(_Case(tier, required, workloads[name], releases, role, release, deployed, today))
    ]


@dataclass(frozen=True)
class _Case:
    """The check of one release in one role."""

    tier: StackTier
    required: Requirements
    workload: Workload
    releases: WorkloadReleases
    role: str
    release: Release
    deployed: DeployedReleases
    today: date

    @property
    def stack(self) -> str:
        return self.tier.stack

    @property
    def key(self) -> str:
        return f"releases.{self.workload.name}.{self.role}"

    @property
    def description(self) -> str:
        return f"is version {self.release.version}"

    @property
    def served(self) -> bool:
        return self.deployed.serves(self.workload.name, self.release.image)


def _refusals(case: _Case) -> Iterator[Problem]:
    if case.required.evidence:
        yield from _gate(case)
    if case.required.proven:
        yield from _proven(case)
    if case.required.approval:
        yield from _approved(case)


def _gate(case: _Case) -> Iterator[Problem]:
    baseline = _baseline_metrics(case.releases, case.role, case.release, case.deployed.here.get(case.workload.name))
    evidence = case.release.evidence
    findings = case.workload.gate.check(evidence.metrics, baseline, evidence.age(case.today), served=case.served)
    failed = [finding for finding in findings if not finding.passed]
    if failed:
        fix = f"train a better version, or roll back: `modelstack rollback {case.workload.name} --stack {case.stack}`"
        yield Problem(case.key, f"{case.description}, which does not pass the gate", "; ".join(map(str, failed)), fix=fix)


def _baseline_metrics(
    releases: WorkloadReleases, role: str, release: Release, here: DeployedRelease | None
) -> Mapping[str, float] | None:
    """Returns the metrics that the gate compares a release with, or None if there are none.

    A canary or a shadow is compared with the stable version in the stack file. A new stable version is compared with the
    deployed stable version, if that is older. Otherwise, for example after a rollback, the stable version is compared with
    the newest older release in the stack file.
    """
    if role != STABLE:
        stable = releases.find(releases.stable)
        return stable.evidence.metrics if stable else None
    if here is not None and here.version < release.version:
        return here.metrics
    return releases.previous.evidence.metrics if releases.previous else None


def _proven(case: _Case) -> Iterator[Problem]:
    source, name = case.tier.source.stack if case.tier.source else None, case.workload.name
    in_source = case.deployed.source.get(name)
    # An image that this stack serves or has served was proven when it was new. The source may serve a newer release by now.
    if case.served or (in_source is not None and case.release.image == in_source.image):
        return
    found = f"version {in_source.version}, image {in_source.image}" if in_source else f"nothing is stable in {source}"
    what = f"{case.description}, whose image is not the one that is stable in {source}"
    fix = f"modelstack promote {name} --to {source} --version {case.release.version}, then modelstack up --stack {source}"
    yield Problem(case.key, what, found, f"image {case.release.image}", fix)


def _approved(case: _Case) -> Iterator[Problem]:
    reason = approval.objection(case.stack, case.workload.name, case.release, case.workload.approvers)
    if reason:
        fix = f"modelstack approve {case.workload.name} --version {case.release.version} --stack {case.stack}"
        yield Problem(case.key, f"{case.description}, which is not approved for {case.stack}", reason, fix=fix)
