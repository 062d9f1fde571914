"""The releases that are deployed, by the outputs of stacks. `infra.promotion.reading` asks the engine for these outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.outputs import RELEASES

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class DeployedRelease:
    """What a workload's endpoint answers with, by its stack's outputs after the last update."""

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
class DeployedReleases:
    """What is deployed, by workload, as the stacks' own outputs tell it: not what somebody has written into a file since."""

    here: Mapping[str, DeployedRelease] = field(default_factory=dict[str, DeployedRelease])
    source: Mapping[str, DeployedRelease] = field(default_factory=dict[str, DeployedRelease])

    def serves(self, workload: str, image: str | None) -> bool:
        """Whether an image is served here, or was and is kept to go back to."""
        here = self.here.get(workload)
        return here is not None and image in here.proven


def parse(outputs: Mapping[str, Any]) -> Mapping[str, DeployedRelease]:  # as the engine gives them
    """What a stack's output `releases` says is deployed, by workload. Empty for a stack that has never been up."""
    found: Mapping[str, Any] = outputs.get(RELEASES) or {}
    return {
        workload: DeployedRelease(
            version=int(payload["version"]),
            image=str(payload["image"]),
            metrics={str(name): float(value) for name, value in payload["metrics"].items()},
            proven=frozenset(map(str, payload["proven"])),
            canary=int(payload["canary"]["version"]) if payload.get("canary") else None,
            percent=int(payload["canary"]["percent"]) if payload.get("canary") else 0,
        )
        for workload, payload in found.items()
    }
