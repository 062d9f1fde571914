"""The releases in a stack file: immutable model versions, and the role of each in its workload's endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import Field

from common.roles import CANARY, SHADOW, STABLE
from infra.sections.section import Section
from infra.sections.types import ContentDigest, Day, ImageDigest, ModelVersion, Moment, Person, Revision, RunId, Signature

Metrics = Mapping[str, Annotated[float, Field(allow_inf_nan=False, examples=[0.41])]]


class Evidence(Section):
    """The results of the back-test of a model version."""

    version: ModelVersion
    """The version that was back-tested."""
    data: ContentDigest
    """The digest of the data that the version was back-tested on."""
    report: ContentDigest
    """The digest of the back-test's report, which is an artifact of the MLflow run."""
    metrics: Metrics = Field(examples=[{"wape": 0.41}])
    until: Day | None = None
    """The last day of the data, if the report names one."""

    def age(self, today: date) -> int | None:
        """Returns the days from the last day of the data to `today`: negative for a day in the future, None without a day."""
        return None if self.until is None else (today - date.fromisoformat(self.until)).days


class Approval(Section):
    """The approval of a release for one environment. Written by `modelstack approve`."""

    by: Person
    at: Moment
    signature: Signature
    """Covers all other fields of the release, the workload and the environment: see `infra.promotion.approval`."""


class Release(Section):
    """An immutable model version. Written by `modelstack release` and `modelstack promote`, not by hand."""

    version: ModelVersion
    run: RunId
    image: ImageDigest
    """The digest of the image in the repository `<registry>/<workload>-serving`."""
    data: ContentDigest
    """The digest of the source data that the version was trained on."""
    revision: Revision
    """The revision of the code that trained the version: the last commit that changed the training image's files."""
    code: ContentDigest | None = None
    """The digest of the files that the training image was built from. Absent in releases of versions that recorded none."""
    trainer: Person
    """The person who started the training. A different person must approve the release."""
    evidence: Evidence
    approval: Approval | None = None
    """Required in some environments: see `infra.tiers`."""


class Canary(Section):
    """A version on trial. It answers a share of the requests."""

    version: ModelVersion
    percent: Annotated[int, Field(ge=0, le=100, examples=[10])]
    """The share of requests in percent; the stable version gets the rest. With 0 the canary runs but gets no requests."""


class WorkloadReleases(Section):
    """The releases that one workload's endpoint serves, and older releases for a rollback.

    The fields allow exactly one stable version, at most one canary and at most one shadow.
    """

    stable: ModelVersion
    """The version that answers all requests except those of the canary."""
    canary: Canary | None = None
    shadow: ModelVersion | None = None
    """The version that gets a copy of every request. Its answers are dropped."""
    versions: Annotated[tuple[Release, ...], Field(strict=False)]
    """The releases of the versions above, and older releases for a rollback, in ascending order of version."""

    def find(self, version: int) -> Release | None:
        """Returns the release of a version, or None if `versions` does not contain it."""
        return next((release for release in self.versions if release.version == version), None)

    @property
    def roles(self) -> dict[str, int]:
        """The version that is served in each role."""
        versions = {STABLE: self.stable, CANARY: self.canary and self.canary.version, SHADOW: self.shadow}
        return {role: version for role, version in versions.items() if version is not None}

    @property
    def served(self) -> dict[str, Release]:
        """The release that is served in each role. `infra.settings.consistency` checks that `versions` contains all of them."""
        return {role: release for role, version in self.roles.items() if (release := self.find(version)) is not None}

    @property
    def previous(self) -> Release | None:
        """The release that a rollback makes stable: the newest release in `versions` that is older than the stable version."""
        older = [release for release in self.versions if release.version < self.stable]
        return max(older, key=lambda release: release.version, default=None)
