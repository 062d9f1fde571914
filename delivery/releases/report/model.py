"""What there is to say about a version under review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workloads.evidence import Report
    from workloads.gate import Finding


@dataclass(frozen=True, kw_only=True)
class Version:
    """A model version, where it comes from, and its evidence."""

    workload: str
    version: int
    run: str
    data: str
    """Fingerprint of the source data."""
    revision: str
    """Of the code that trained it."""
    report: Report
    digest: str
    """Of the report, as it was read."""
    image: str | None = None
    """Digest of the serving image; None where none was built yet."""
    trainer: str | None = None
    approval: str | None = None
    """Who has approved it, and when; None where nobody has."""
    confirmed: str | None = None
    """When the evidence was last made again from the registered model, and by whom; None where it never was."""


@dataclass(frozen=True, kw_only=True)
class ServedVersion:
    """The version that answers now."""

    version: int
    report: Report


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which versions an endpoint answers with."""

    stable: int | None
    canary: int | None = None
    percent: int = 0
    """Of the requests, to the canary."""
    shadow: int | None = None

    def share(self, version: int) -> int:
        """Percent of the requests that a version answers."""
        canary = self.percent if self.canary is not None else 0
        return (canary if version == self.canary else 0) + (100 - canary if version == self.stable else 0)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What a change does to an endpoint."""

    before: Split | None
    """None: there is no endpoint yet."""
    after: Split


@dataclass(frozen=True, kw_only=True)
class Review:
    """All that a page or a pull request is made from."""

    version: Version
    stable: ServedVersion | None
    """None: nothing is stable in this environment."""
    findings: tuple[Finding, ...]
    """Of the workload's gate; empty where none was asked."""
    environment: str | None = None
    """The stack that is to change."""
    traffic: Traffic | None = None
    preview: str | None = None
    """What the infrastructure would change, as plain text."""

    @property
    def passed(self) -> bool:
        """Whether the gate lets the version through. A gate that was not asked lets nothing through."""
        return bool(self.findings) and all(finding.passed for finding in self.findings)
