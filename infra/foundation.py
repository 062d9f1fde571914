"""The foundation of an environment: its cluster and its container registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, assert_never

from pulumi import ResourceOptions

from components.cluster import (
    Cluster,
    EmbeddedCluster,
    EmbeddedClusterArgs,
    ExistingCluster,
    ExistingClusterArgs,
    KindCluster,
    KindClusterArgs,
)
from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from infra.settings import model

if TYPE_CHECKING:
    from infra.settings.model import Settings


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """The cluster and the container registry of one environment."""

    cluster: Cluster
    container_registry: ContainerRegistry
    host: str
    """The host name or address at which clients reach the cluster's node ports."""

    @property
    def on_cluster(self) -> ResourceOptions:
        """Options for components whose Kubernetes objects belong in this cluster."""
        return ResourceOptions(providers=[self.cluster.provider])

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Declares the cluster and the container registry of the settings."""
        cluster = _cluster(settings.cluster)
        served_by = [cluster] if isinstance(cluster, EmbeddedCluster) else []
        registry_args = ContainerRegistryArgs(address=settings.images.registry, served_by=served_by)
        registry = ContainerRegistry("registry", registry_args)
        return cls(cluster=cluster, container_registry=registry, host=settings.cluster.host)


def _cluster(settings: model.Cluster) -> Cluster:
    match settings:
        case model.EmbeddedCluster():
            args = EmbeddedClusterArgs(
                api_port=settings.api_port, registry_port=settings.registry_port, node_ports=str(settings.node_ports)
            )
            return EmbeddedCluster("cluster", args)
        case model.KindCluster(name=name, node_ports=ports):
            return KindCluster("cluster", KindClusterArgs(cluster_name=name, node_ports=range(ports.first, ports.last + 1)))
        case model.ExistingCluster(context=context, kubeconfig=path):
            return ExistingCluster("cluster", ExistingClusterArgs(context=context, kubeconfig=path))
        case _:
            assert_never(settings)
