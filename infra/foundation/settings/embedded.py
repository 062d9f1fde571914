"""The settings of the embedded cluster: one node on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from common import paths
from common.answers import Absent, Found
from infra.foundation.settings.cluster import Node
from infra.foundation.settings.own import OwnCluster
from infra.sections.problems import Problem
from infra.sections.types import Port, PortRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clients.kubernetes import KubernetesClient
    from common.answers import Answer
    from infra.foundation.settings.images import Images

_NODE_RESOURCE: Final = "modelstack:cluster:EmbeddedCluster$command:local:Command"


class EmbeddedCluster(OwnCluster):
    """A Kubernetes cluster of one node on this machine. The stack starts and stops the node."""

    kind: Literal["embedded"]
    api_port: Port = 6443
    """The port of the API server. It listens on the loopback address only, like the other ports."""
    registry_port: Port = 5000
    """The port of the node's container registry."""
    node_ports: PortRange = PortRange(30000, 30031)
    """The node ports that are reachable on this machine."""

    @property
    def created_name(self) -> str:
        return "embedded"

    @property
    def node(self) -> Node:
        return Node(
            api_port=self.api_port,
            registry_port=self.registry_port,
            node_ports=self.node_ports,
            resource=_NODE_RESOURCE,
        )

    @property
    def owns_container_registry(self) -> bool:
        return True

    @property
    def own_ports(self) -> Mapping[str, int]:
        return {"cluster.apiPort": self.api_port, "cluster.registryPort": self.registry_port}

    def client(self) -> Answer[KubernetesClient]:
        from clients.kubernetes import KubernetesClient  # noqa: PLC0415 slow import; reading a stack file needs no client

        if not paths.KUBECONFIG.is_file():
            return Absent()
        return Found(KubernetesClient.from_file(str(paths.KUBECONFIG)))

    def problems(self, images: Images) -> Iterator[Problem]:
        for key, port in self.own_ports.items():
            if port in self.node_ports:
                what = f"lies within cluster.nodePorts, {self.node_ports}"
                yield Problem(key, what, port, fix="change this port or cluster.nodePorts")
        registry = f"localhost:{self.registry_port}"
        if images.registry != registry:
            what = "is not the address of the embedded cluster's container registry"
            fix = "write that address, or change cluster.registryPort"
            yield Problem("images.registry", what, images.registry, registry, fix)
        if not images.base.startswith(f"{registry}/"):
            what = "is not in the embedded cluster's container registry"
            fix = "write the base image that the embedded cluster comes with"
            yield Problem("images.base", what, images.base, f"{registry}/base:bookworm", fix)
