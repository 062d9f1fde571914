"""The embedded node of a stack: its configuration and whether it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings.model import Settings
    from local.node.config import NodeConfig


def config_of(settings: Settings) -> NodeConfig | None:
    """Returns the configuration of the stack's embedded node; None if its cluster has no such node."""
    from local.node.config import NodeConfig

    node = settings.cluster.node
    if node is None:
        return None
    ports = (node.node_ports.first, node.node_ports.last)
    return NodeConfig(api_port=node.api_port, registry_port=node.registry_port, node_ports=ports)


def is_ready(config: NodeConfig | None) -> bool:
    """Returns whether the node runs, its API server answers, and Kubernetes reports the node as ready; False without a node."""
    if config is None:
        return False
    from local.node.lifecycle.status import status

    return status(config).ready
