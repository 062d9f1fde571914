"""The foundation on the embedded cluster. Its node runs the container registry as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.cluster import EmbeddedCluster as Cluster
from components.cluster import EmbeddedClusterArgs
from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from infra.foundation import parts

if TYPE_CHECKING:
    from infra.foundation.result import Foundation
    from infra.foundation.settings.embedded import EmbeddedCluster
    from infra.foundation.settings.foundation import FoundationSettings


def foundation(own: EmbeddedCluster, settings: FoundationSettings) -> Foundation:
    """Declares the node, and returns the foundation on it."""
    args = EmbeddedClusterArgs(api_port=own.api_port, registry_port=own.registry_port, node_ports=str(own.node_ports))
    cluster = Cluster("cluster", args)
    registry_args = ContainerRegistryArgs(address=settings.images.registry, served_by=[cluster])
    return parts.on(cluster, ContainerRegistry("registry", registry_args), settings)
