"""Declares the foundation that a stack file chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from infra.foundation import embedded, existing, kind
from infra.foundation.settings.embedded import EmbeddedCluster
from infra.foundation.settings.existing import ExistingCluster
from infra.foundation.settings.kind import KindCluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.foundation.result import Foundation
    from infra.foundation.settings.cluster import ClusterSettings
    from infra.foundation.settings.foundation import FoundationSettings

KINDS: Final[dict[type[ClusterSettings], Callable[[Any, FoundationSettings], Foundation]]] = {  # Any: each takes its own kind
    EmbeddedCluster: embedded.foundation,
    KindCluster: kind.foundation,
    ExistingCluster: existing.foundation,
}
"""The function of each kind of cluster. It declares the cluster, and returns the foundation on it."""


def create(settings: FoundationSettings) -> Foundation:
    """Declares the cluster of the settings, and returns what the environment stands on."""
    return KINDS[type(settings.cluster)](settings.cluster, settings)
