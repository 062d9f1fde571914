"""The deployed releases, parsed from the outputs of stacks. `infra.promotion.reading` reads these outputs from the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.outputs import RELEASES

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class DeployedRelease:
    """The stable release and the canary of a workload's endpoint, according to the stack's outputs after the last update."""

    version: int
    image: str
    """Digest."""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    proven: frozenset[str] = frozenset()
    """Digests of the images that the stack has served, including the images of older releases that a rollback can use."""
    canary: int | None = None
    """The canary's version."""
    percent: int = 0
    """The canary's share of the requests in percent."""


@dataclass(frozen=True, kw_only=True)
class DeployedReleases:
    """The deployed releases by workload, from the outputs of stacks. Stack files may have been edited since the last update."""

    here: Mapping[str, DeployedRelease] = field(default_factory=dict[str, DeployedRelease])
    """The releases that are deployed in this stack."""
    source: Mapping[str, DeployedRelease] = field(default_factory=dict[str, DeployedRelease])
    """The releases that are deployed in the stack from which releases are promoted to this one."""

    def serves(self, workload: str, image: str | None) -> bool:
        """Whether this stack serves an image, or has served it and its release is still available for a rollback."""
        here = self.here.get(workload)
        return here is not None and image in here.proven


def parse(outputs: Mapping[str, Any]) -> Mapping[str, DeployedRelease]:  # Any: the engine does not type outputs
    """Returns the deployed releases by workload, from the output `releases` of a stack. Empty for a stack without an update."""
    releases: Mapping[str, Any] = outputs.get(RELEASES) or {}
    return {
        workload: DeployedRelease(
            version=int(payload["version"]),
            image=str(payload["image"]),
            metrics={str(name): float(value) for name, value in payload["metrics"].items()},
            proven=frozenset(map(str, payload["proven"])),
            canary=int(payload["canary"]["version"]) if payload.get("canary") else None,
            percent=int(payload["canary"]["percent"]) if payload.get("canary") else 0,
        )
        for workload, payload in releases.items()
    }
