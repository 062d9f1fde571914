"""The foundation as the platform sees it: one typed result of small protocols, whatever kinds a stack file chooses.

Each protocol has just the members that the platform uses. A part that serves several components is a factory: the platform
names what it needs (a database, a volume), and the kind decides how that is declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pulumi import ResourceOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pulumi import Input, Output, ProviderResource
    from pulumi_kubernetes.networking.v1 import NetworkPolicyEgressRuleArgsDict

    from components.container_registry import PushTarget
    from components.identity import PodIdentity
    from components.passwords import Passwords
    from components.tracking import ArtifactStore


class Cluster(Protocol):
    """The Kubernetes cluster."""

    @property
    def provider(self) -> ProviderResource:
        """The provider of the objects in the cluster."""
        ...

    @property
    def kubeconfig(self) -> Output[str]:
        """The content of a kubeconfig, as a secret; or the path of one; or an empty string for the user's own."""
        ...


class DatabaseServer(Protocol):
    """A PostgreSQL server with the databases that were asked for."""

    @property
    def egress(self) -> Sequence[NetworkPolicyEgressRuleArgsDict]:
        """The traffic that a client needs to reach the server, beyond traffic to pods of its own namespace."""
        ...

    def url(self, database: str) -> Output[str]:
        """Returns the SQLAlchemy URL of a database, as a secret. It resolves when the server is ready."""
        ...


class Database(Protocol):
    """The PostgreSQL databases."""

    def server(
        self, name: str, *, namespace: Input[str], databases: Sequence[str], clients: Mapping[str, str]
    ) -> DatabaseServer:
        """Declares a server with databases.

        Args:
            name: the name of the component or resource.
            namespace: the namespace of the clients, and of the server if it runs in the cluster.
            databases: the names of the databases.
            clients: the labels of the pods that may connect.
        """
        ...


class Artifacts(Protocol):
    """The artifacts of MLflow: models, reports, plots."""

    def store(self, name: str, *, namespace: Input[str], size: str, protect: bool) -> ArtifactStore:
        """Declares the place for the artifacts of one tracking server.

        Args:
            name: the name of the component or resource.
            namespace: the namespace of the tracking server.
            size: the size of a volume. Stores that grow by themselves ignore it.
            protect: whether the engine refuses to delete the artifacts.
        """
        ...


class SharedVolumes(Protocol):
    """Volumes that several pods mount at once."""

    def claim(self, name: str, *, namespace: Input[str], size: str) -> Output[str]:
        """Declares a volume and returns the name of its ReadWriteMany claim."""
        ...


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where clients outside the cluster reach a Service."""

    host: str
    node_port: int


class Entrance(Protocol):
    """The way by which clients outside the cluster reach Services."""

    def address(self, node_port: int) -> Address:
        """Returns the address of a Service for which the settings choose a node port."""
        ...


class Identity(Protocol):
    """The identities under which pods use services outside the cluster."""

    def for_pods(self, account: str, *, namespace: Input[str]) -> PodIdentity:
        """Returns the identity of the pods that run under a service account."""
        ...


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """What one environment stands on."""

    cluster: Cluster
    container_registry: PushTarget
    database: Database
    artifacts: Artifacts
    shares: SharedVolumes
    entrance: Entrance
    identity: Identity
    secrets: Passwords

    @property
    def on_cluster(self) -> ResourceOptions:
        """Options for components whose Kubernetes objects belong in this cluster."""
        return ResourceOptions(providers=[self.cluster.provider])
