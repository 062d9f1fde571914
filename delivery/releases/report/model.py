"""The data of a review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workloads.evidence import Report
    from workloads.gate import Finding


@dataclass(frozen=True, kw_only=True)
class Version:
    """The reviewed model version with its origin and its evidence."""

    workload: str
    version: int
    run: str
    data: str
    """Fingerprint of the source data."""
    revision: str
    """Revision of the code that trained the version."""
    report: Report
    digest: str
    """Digest of the report file."""
    image: str | None = None
    """Digest of the serving image; None if no image is built yet."""
    trainer: str | None = None
    approval: str | None = None
    """The approver and the time of the approval; None if the version is not approved."""
    confirmed: str | None = None
    """When and by whom the back-test was last repeated with the registered model; None if it was not repeated."""


@dataclass(frozen=True, kw_only=True)
class ServedVersion:
    """The stable version of the environment, which the reviewed version is compared with."""

    version: int
    report: Report


@dataclass(frozen=True, kw_only=True)
class Split:
    """The versions that an endpoint serves, and the share of the requests that each answers."""

    stable: int | None
    canary: int | None = None
    percent: int = 0
    """Per cent of the requests that the canary answers."""
    shadow: int | None = None

    def share(self, version: int) -> int:
        """Returns the per cent of the requests that a version answers."""
        canary = self.percent if self.canary is not None else 0
        return (canary if version == self.canary else 0) + (100 - canary if version == self.stable else 0)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The versions that an endpoint serves before and after a change."""

    before: Split | None
    """None if the environment serves no version of the workload yet."""
    after: Split


@dataclass(frozen=True, kw_only=True)
class Review:
    """All data for the page and for the text of a pull request."""

    version: Version
    stable: ServedVersion | None
    """None if no other version is stable, or if its report is not available."""
    findings: tuple[Finding, ...]
    """The results of the workload's gate, one for each rule; empty if no gate was checked."""
    environment: str | None = None
    """The name of the environment that is changed."""
    traffic: Traffic | None = None
    preview: str | None = None
    """The output of `pulumi preview`, as plain text; None if no preview was run."""

    @property
    def passed(self) -> bool:
        """Whether the version passes the gate. Without a checked gate, the version does not pass."""
        return bool(self.findings) and all(finding.passed for finding in self.findings)
