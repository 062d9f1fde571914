"""Releases as a stack file writes them: model versions made immutable, and which of them an endpoint answers with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import Field

from common.roles import CANARY, SHADOW, STABLE
from infra.settings.section import Section
from infra.settings.types import ContentDigest, Day, ImageDigest, ModelVersion, Moment, Person, Revision, RunId, Signature

Metrics = Mapping[str, Annotated[float, Field(allow_inf_nan=False, examples=[0.41])]]


class Evidence(Section):
    """What the back-test of a model version found."""

    version: ModelVersion
    """The version that was tested."""
    data: ContentDigest
    """Of the data it was tested on."""
    report: ContentDigest
    """Of the back-test's report, an artifact of the run."""
    metrics: Metrics = Field(examples=[{"wape": 0.41}])
    until: Day | None = None
    """The last day of the data, where the report says it."""

    def age(self, today: date) -> int | None:
        """Days since the last day of the data, negative where that is to come; None where the evidence does not say it."""
        return None if self.until is None else (today - date.fromisoformat(self.until)).days


class Approval(Section):
    """Somebody's word that a release may go to an environment. Written by `modelstack approve`."""

    by: Person
    at: Moment
    signature: Signature
    """Over everything else of the release, the workload and the environment: see `infra.promotion.approval`."""


class Release(Section):
    """A model version made immutable. Written by `modelstack release` and `modelstack promote`, not by hand."""

    version: ModelVersion
    run: RunId
    image: ImageDigest
    """In the repository `<registry>/<workload>-serving`."""
    data: ContentDigest
    """Of the source data it was trained on."""
    revision: Revision
    """Of the code that trained it."""
    trainer: Person
    """Who started the training. Somebody else has to approve."""
    evidence: Evidence
    approval: Approval | None = None
    """Where the environment asks for one: see `infra.promotion.requirements`."""


class Canary(Section):
    """A version that is tried on part of the requests."""

    version: ModelVersion
    percent: Annotated[int, Field(ge=0, le=100, examples=[10])]
    """Of the requests; the rest goes to the stable version. 0 keeps it running and unasked."""


class WorkloadReleases(Section):
    """What one workload's endpoint answers with, and what it can go back to.

    That there is one stable version, at most one canary and at most one shadow, and never one of these alone, is in the shape.
    """

    stable: ModelVersion
    """Answers all requests that the canary does not."""
    canary: Canary | None = None
    shadow: ModelVersion | None = None
    """Gets a copy of every request; its answers are dropped."""
    versions: Annotated[tuple[Release, ...], Field(strict=False)]
    """The releases these are numbers of, the oldest first, and older ones to go back to."""

    def find(self, version: int) -> Release | None:
        """The release of a version; None where it is not kept here."""
        return next((release for release in self.versions if release.version == version), None)

    @property
    def roles(self) -> dict[str, int]:
        """The versions that are served, by the role they have."""
        found = {STABLE: self.stable, CANARY: self.canary and self.canary.version, SHADOW: self.shadow}
        return {role: version for role, version in found.items() if version is not None}

    @property
    def served(self) -> dict[str, Release]:
        """The releases that are served, by role. `infra.settings.consistency` sees to it that each is kept."""
        return {role: release for role, version in self.roles.items() if (release := self.find(version)) is not None}

    @property
    def previous(self) -> Release | None:
        """What a rollback goes back to: the newest kept release before the stable one."""
        older = [release for release in self.versions if release.version < self.stable]
        return max(older, key=lambda release: release.version, default=None)
