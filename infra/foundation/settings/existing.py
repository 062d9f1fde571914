"""The settings of a cluster that somebody else operates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from common import paths
from common.answers import Found
from infra.foundation.settings.cluster import ClusterSettings
from infra.sections.types import HostName, PortRange

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.kubernetes import KubernetesClient


class ExistingCluster(ClusterSettings):
    """A cluster that somebody else operates."""

    kind: Literal["existing"]
    namespace_prefix: Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{0,19}-)?$", examples=["stage-"])] = ""
    """A prefix for the names of namespaces. Needed if several environments share the cluster."""
    context: Annotated[str, Field(min_length=1, examples=["modelstack-stage"])]
    """The name of the context in the kubeconfig. The current context is never used: any earlier command may have changed it."""
    kubeconfig: Annotated[str, Field(min_length=1, examples=["~/.kube/config"])] | None = None
    """The path of the kubeconfig. Default: `$KUBECONFIG`, else `~/.kube/config`."""
    host: HostName
    """The host name or address at which clients reach the node ports."""

    @property
    def node_ports(self) -> PortRange:
        """The node ports that Kubernetes allows by default."""
        return PortRange(30000, 32767)

    @property
    def in_node_of_checkout(self) -> bool:
        from clients.kubernetes import kubeconfig_file  # noqa: PLC0415 slow import; reading a stack file needs no client

        return self.kubeconfig is not None and kubeconfig_file(self.kubeconfig) == paths.KUBECONFIG

    def client(self) -> Found[KubernetesClient]:
        return Found(self._connected())

    def connect(self, kubeconfig: Callable[[], str]) -> KubernetesClient:  # noqa: ARG002 this kind has a kubeconfig of its own
        return self._connected()

    def _connected(self) -> KubernetesClient:
        from clients.kubernetes import KubernetesClient  # noqa: PLC0415 slow import; reading a stack file needs no client

        return KubernetesClient.from_file(self.kubeconfig, self.context)
