"""The embedded node of a stack: its configuration and whether it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings.model import Settings
    from local.node.config import NodeConfig


def config_of(settings: Settings) -> NodeConfig | None:
    """Returns the configuration of the stack's embedded node; None if its cluster is of another kind."""
    from local.node.config import NodeConfig

    cluster = settings.cluster
    if cluster.kind != "embedded":
        return None
    ports = (cluster.node_ports.first, cluster.node_ports.last)
    return NodeConfig(api_port=cluster.api_port, registry_port=cluster.registry_port, node_ports=ports)


def is_ready(config: NodeConfig | None) -> bool:
    """Returns whether the node runs, its API server answers, and Kubernetes reports the node as ready; False without a node."""
    if config is None:
        return False
    from local.node.lifecycle.status import status

    return status(config).ready
