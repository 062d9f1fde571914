"""The foundation on a cluster that the `kind` command creates. Somebody else operates its container registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.cluster import KindCluster as Cluster
from components.cluster import KindClusterArgs
from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from infra.foundation import parts

if TYPE_CHECKING:
    from infra.foundation.result import Foundation
    from infra.foundation.settings.foundation import FoundationSettings
    from infra.foundation.settings.kind import KindCluster


def foundation(own: KindCluster, settings: FoundationSettings) -> Foundation:
    """Declares the cluster, and returns the foundation on it."""
    ports = own.node_ports
    cluster = Cluster("cluster", KindClusterArgs(cluster_name=own.name, node_ports=range(ports.first, ports.last + 1)))
    registry = ContainerRegistry("registry", ContainerRegistryArgs(address=settings.images.registry))
    return parts.on(cluster, registry, settings)
