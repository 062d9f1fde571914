"""What every kind of cluster answers about itself, before the stack is up and after."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.sections.section import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clients.kubernetes import KubernetesClient
    from common.answers import Answer
    from infra.foundation.settings.images import Images
    from infra.sections.problems import Problem
    from infra.sections.types import PortRange


@dataclass(frozen=True, kw_only=True)
class Node:
    """The node that the stack starts on this machine. Commands start it again after a restart, and delete its data."""

    api_port: int
    registry_port: int
    node_ports: PortRange
    resource: str
    """The type of the resource that starts the node, with the types of its parents, as the engine writes it in a URN."""


class ClusterSettings(Section):
    """The base class of all kinds of cluster.

    A kind also has these members, each as a key of the stack file or as a property: `kind`, `host` (the host name or address at
    which clients reach the node ports), `node_ports` (the node ports that clients can reach), `namespace_prefix` (a prefix for
    the names of namespaces; empty if the cluster belongs to a single environment) and `context` (the context in the user's
    kubeconfig; empty if the stack uses none).
    """

    @property
    def created_name(self) -> str:
        """The name of the cluster in `infra/tiers/tiers.toml`, if the stack creates the cluster and it has no UID before.

        Empty for a cluster that exists already: its UID identifies it.
        """
        return ""

    @property
    def node(self) -> Node | None:
        """The node that this checkout runs for the cluster. None: commands start and stop nothing outside the stack."""
        return None

    @property
    def in_node_of_checkout(self) -> bool:
        """Whether the environment runs in this checkout's node, so that deleting the node deletes the environment."""
        return self.node is not None

    @property
    def owns_container_registry(self) -> bool:
        """Whether the container registry is a part of the cluster, so that its images are lost with the cluster."""
        return False

    @property
    def own_ports(self) -> Mapping[str, int]:
        """The ports that the cluster opens on this machine in addition to its node ports, by their keys in the stack file."""
        return {}

    @property
    def node_ports_key(self) -> str | None:
        """The key of the stack file that sets the range of node ports. None if the stack file cannot change it."""
        return None

    @abstractmethod
    def client(self) -> Answer[KubernetesClient]:
        """Returns a client for the cluster before the stack is up. Absent if the stack has not created the cluster yet.

        Raises:
            UserError: what the client needs (for example a kubeconfig) is missing or invalid.
        """

    @abstractmethod
    def connect(self, kubeconfig: Callable[[], str]) -> KubernetesClient:
        """Returns a client for the cluster of a stack that is up.

        Args:
            kubeconfig: reads the kubeconfig in the stack's outputs. Not called by kinds that have a kubeconfig of their own.

        Raises:
            UserError: what the client needs (for example a kubeconfig) is missing or invalid.
        """

    def problems(self, images: Images) -> Iterable[Problem]:  # noqa: ARG002 a kind without rules needs no argument
        """Yields the problems between the keys of the cluster, and between them and those of the images."""
        return ()
