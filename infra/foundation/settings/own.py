"""What the clusters have in common that the stack itself creates on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.foundation.settings.cluster import ClusterSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.kubernetes import KubernetesClient


class OwnCluster(ClusterSettings):
    """A cluster on this machine that belongs to a single environment."""

    @property
    def namespace_prefix(self) -> str:
        """Empty: the environment that owns the cluster needs no prefix. Other environments in the same cluster have one."""
        return ""

    @property
    def host(self) -> str:
        """The host name at which clients reach the node ports."""
        return "localhost"

    @property
    def context(self) -> str:
        """Empty: the stack uses no context of the user's kubeconfig."""
        return ""

    @property
    def node_ports_key(self) -> str | None:
        return "cluster.nodePorts"

    def connect(self, kubeconfig: Callable[[], str]) -> KubernetesClient:
        from clients.kubernetes import KubernetesClient  # noqa: PLC0415 slow import; reading a stack file needs no client

        return KubernetesClient.from_kubeconfig(kubeconfig())
