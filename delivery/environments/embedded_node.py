"""The embedded node of a stack, as the commands see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings.model import EmbeddedCluster, Settings
    from local.node import NodeConfig


def embedded(settings: Settings) -> NodeConfig | None:
    """How the stack's node is configured; None where its cluster is another kind."""
    return config(settings.cluster) if settings.cluster.kind == "embedded" else None


def config(cluster: EmbeddedCluster) -> NodeConfig:
    """The node that the settings describe."""
    from local.node import NodeConfig

    ports = (cluster.node_ports.first, cluster.node_ports.last)
    return NodeConfig(api_port=cluster.api_port, registry_port=cluster.registry_port, node_ports=ports)


def running(found: NodeConfig | None) -> bool:
    """Whether the node runs and answers."""
    from local import node

    return found is not None and node.status(found).ready
