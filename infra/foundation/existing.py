"""The foundation on a cluster that somebody else operates, like its container registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.cluster import ExistingCluster as Cluster
from components.cluster import ExistingClusterArgs
from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from infra.foundation import parts

if TYPE_CHECKING:
    from infra.foundation.result import Foundation
    from infra.foundation.settings.existing import ExistingCluster
    from infra.foundation.settings.foundation import FoundationSettings


def foundation(own: ExistingCluster, settings: FoundationSettings) -> Foundation:
    """Declares the connection to the cluster, and returns the foundation on it."""
    cluster = Cluster("cluster", ExistingClusterArgs(context=own.context, kubeconfig=own.kubeconfig))
    registry = ContainerRegistry("registry", ContainerRegistryArgs(address=settings.images.registry))
    return parts.on(cluster, registry, settings)
