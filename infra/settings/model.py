"""The types of one environment's settings. A stack file holds one object per concern, under the key `modelstack:<concern>`.

`infra.settings.loading` reads the settings; `infra.settings.consistency` checks the rules that hold between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from infra.settings.releases import WorkloadReleases
from infra.settings.section import Section
from infra.settings.types import (
    Cpu,
    HostName,
    ImageReference,
    Memory,
    ModelName,
    NodePort,
    Port,
    PortRange,
    RegistryAddress,
    Storage,
    StorageClass,
)


class _OwnCluster(Section):
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


class EmbeddedCluster(_OwnCluster):
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
        """The name of the cluster in `infra/tiers/tiers.toml`: the stack itself creates the cluster, so it has no UID yet."""
        return "embedded"


class KindCluster(_OwnCluster):
    """A cluster in Docker, created by the `kind` command. Requires Docker and internet access."""

    kind: Literal["kind"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["modelstack"])] = "modelstack"
    """The name of the cluster in the output of `kind get clusters`."""
    node_ports: PortRange = PortRange(30000, 30031)
    """The node ports that are reachable on this machine."""

    @property
    def created_name(self) -> str:
        """The name of the cluster in `infra/tiers/tiers.toml`: the stack itself creates the cluster, so it has no UID yet."""
        return f"kind:{self.name}"


class ExistingCluster(Section):
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
    def created_name(self) -> str:
        """Empty: the stack does not create the cluster. Its UID identifies it."""
        return ""

    @property
    def node_ports(self) -> PortRange:
        """The node ports that Kubernetes allows by default."""
        return PortRange(30000, 32767)


Cluster = Annotated[EmbeddedCluster | KindCluster | ExistingCluster, Field(discriminator="kind")]


class Images(Section):
    """The container registry and the base image."""

    registry: RegistryAddress
    """The address of the container registry. All images are pushed to it, and all pods pull images from it by digest."""
    base: ImageReference = "debian:bookworm-slim"
    """The base image of all images. It must be a Debian bookworm."""


class StorageClasses(Section):
    """The storage classes of volumes. Without a class, a volume has the cluster's default class."""

    volumes: StorageClass | None = None
    """The class of volumes that one pod mounts at a time (ReadWriteOnce)."""
    shares: StorageClass | None = None
    """The class of volumes that several pods mount at once (ReadWriteMany)."""


class Database(Section):
    """The PostgreSQL server that stores the data of MLflow."""

    storage: Storage = "2Gi"
    cpu: Cpu = "100m"
    memory: Memory = "256Mi"
    protect: bool = False
    """Whether the engine refuses to delete the database's volume and password."""


class Tracking(Section):
    """The MLflow tracking server, its model registry and its artifacts."""

    storage: Storage = "5Gi"
    """The size of the volume for artifacts."""
    node_port: NodePort = 30000
    cpu: Cpu = "100m"
    """The CPU request. The server may use more if the node has CPU to spare."""
    memory: Memory = "768Mi"
    workers: Annotated[int, Field(ge=1, le=16, examples=[2])] = 1
    """The number of worker processes. Each needs about 250 MB, in addition to 250 MB for the first process of the server."""
    protect: bool = False
    """Whether the engine refuses to delete the server's artifacts and password."""


class Training(Section):
    """The training of workloads."""

    storage: Storage = "5Gi"
    """The size of the file share through which training steps pass data to each other."""
    keep_runs_seconds: Annotated[int, Field(ge=60, examples=[86400])] = 86400
    """The time in seconds after which Kubernetes deletes the pod and the log of a finished training run."""


class DeploymentServing(Section):
    """Endpoints are plain Deployments behind an NGINX router. The cluster needs no operator."""

    engine: Literal["deployment"]


class SeldonServing(Section):
    """Endpoints are SeldonDeployments. Requires the Seldon operator (1.17.1) and Istio in the cluster."""

    engine: Literal["seldon"]
    gateway_service: Annotated[str, Field(min_length=1, examples=["istio-ingressgateway"])] = "istio-ingressgateway"
    """The Service of Istio's ingress gateway. All endpoints share its address."""
    gateway_namespace: Annotated[str, Field(min_length=1, examples=["istio-system"])] = "istio-system"
    """The namespace of the gateway's Service."""
    gateway_node_port: NodePort | None = None
    """The node port at which clients outside the cluster reach the gateway, if it has one."""


Serving = Annotated[DeploymentServing | SeldonServing, Field(discriminator="engine")]


class Replicas(Section):
    """The bounds within which the autoscaler sets the number of replicas."""

    min: Annotated[int, Field(ge=1, le=100, examples=[1])] = 1
    max: Annotated[int, Field(ge=1, le=100, examples=[4])] = 2


class WorkloadSettings(Section):
    """The settings of a workload in this environment. Its declaration in `workloads/` is the same in every environment."""

    replicas: Replicas = Replicas()
    node_port: NodePort
    """The node port of the workload's endpoint. Not used by the `seldon` engine: its endpoints share the gateway's address."""


class Settings(Section):
    """The settings of one environment."""

    cluster: Cluster
    images: Images
    storage_classes: StorageClasses = StorageClasses()
    database: Database = Database()
    tracking: Tracking = Tracking()
    training: Training = Training()
    serving: Serving = DeploymentServing(engine="deployment")
    """The engine that serves the endpoints."""
    workloads: Mapping[ModelName, WorkloadSettings] = {}
    """The workloads that get an endpoint in this environment with their first release. Others can only be trained."""
    releases: Mapping[ModelName, WorkloadReleases] = {}
    """The model versions that each workload's endpoint serves. A workload without a release has no endpoint yet."""
