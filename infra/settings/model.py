"""The settings of one environment, as types: a stack file holds one object per concern, `modelstack:<concern>`.

`infra.settings.loading` reads them, `infra.settings.consistency` knows what they must agree on among themselves.
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
    """A cluster on this machine that is one environment's alone."""

    @property
    def namespace_prefix(self) -> str:
        """Whose cluster it is needs none; others that live in it bring theirs."""
        return ""

    @property
    def host(self) -> str:
        """Where node ports are reached."""
        return "localhost"


class EmbeddedCluster(_OwnCluster):
    """A Kubernetes of one node on this machine, started and stopped by the stack itself."""

    kind: Literal["embedded"]
    api_port: Port = 6443
    """Where the API server listens, on the loopback address only, like the other ports."""
    registry_port: Port = 5000
    """Where the node's image registry listens."""
    node_ports: PortRange = PortRange(30000, 30031)
    """The node ports that are reachable on this machine."""


class KindCluster(_OwnCluster):
    """A cluster in Docker, made by the `kind` command. Wants Docker and the internet."""

    kind: Literal["kind"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["modelstack"])] = "modelstack"
    """What `kind get clusters` calls it."""
    node_ports: PortRange = PortRange(30000, 30031)
    """The node ports that are reachable on this machine."""


class ExistingCluster(Section):
    """A cluster that others run."""

    kind: Literal["existing"]
    namespace_prefix: Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{0,19}-)?$", examples=["stage-"])] = ""
    """Put before the names of namespaces, where several environments share the cluster."""
    context: Annotated[str, Field(min_length=1, examples=["modelstack-stage"])]
    """The context in the kubeconfig. Never the current one: that depends on what somebody did last."""
    kubeconfig: Annotated[str, Field(min_length=1, examples=["~/.kube/config"])] | None = None
    """Path of the kubeconfig; where it is absent, `$KUBECONFIG` or `~/.kube/config`."""
    host: HostName
    """Where its node ports are reached."""

    @property
    def node_ports(self) -> PortRange:
        """What Kubernetes allows by default."""
        return PortRange(30000, 32767)


Cluster = Annotated[EmbeddedCluster | KindCluster | ExistingCluster, Field(discriminator="kind")]


class Images(Section):
    """Where images come from and go to."""

    registry: RegistryAddress
    """Every image is pushed to it, and every pod pulls from it by digest."""
    base: ImageReference = "debian:bookworm-slim"
    """What images are built on: a Debian bookworm."""


class StorageClasses(Section):
    """Which classes of storage volumes are made of. Where none is named, the cluster's default."""

    volumes: StorageClass | None = None
    """For one pod at a time (ReadWriteOnce)."""
    shares: StorageClass | None = None
    """For many pods at once (ReadWriteMany)."""


class Database(Section):
    """PostgreSQL, which keeps what MLflow knows."""

    storage: Storage = "2Gi"
    cpu: Cpu = "100m"
    memory: Memory = "256Mi"
    protect: bool = False
    """Whether the engine refuses to delete its volume and password."""


class Tracking(Section):
    """The MLflow tracking server, its model registry and its artifacts."""

    storage: Storage = "5Gi"
    """For artifacts."""
    node_port: NodePort = 30000
    cpu: Cpu = "100m"
    """Asked for; it may use more when there is more."""
    memory: Memory = "768Mi"
    workers: Annotated[int, Field(ge=1, le=16, examples=[2])] = 1
    """Server processes; each takes some 250 MB, beside 250 MB for the first process."""
    protect: bool = False
    """Whether the engine refuses to delete its artifacts and password."""


class Training(Section):
    """Where workloads are trained."""

    storage: Storage = "5Gi"
    """The file share that steps hand data on through."""
    keep_runs_seconds: Annotated[int, Field(ge=60, examples=[86400])] = 86400
    """How long a finished run's pod and log stay in the cluster."""


class DeploymentServing(Section):
    """Endpoints are plain Deployments behind an NGINX router; the cluster needs no operator."""

    engine: Literal["deployment"]


class SeldonServing(Section):
    """Endpoints are SeldonDeployments. Wants the Seldon operator (1.17.1) and Istio in the cluster."""

    engine: Literal["seldon"]
    gateway_service: Annotated[str, Field(min_length=1, examples=["istio-ingressgateway"])] = "istio-ingressgateway"
    """The Service of Istio's ingress gateway, at which all endpoints answer."""
    gateway_namespace: Annotated[str, Field(min_length=1, examples=["istio-system"])] = "istio-system"
    """Its namespace."""
    gateway_node_port: NodePort | None = None
    """Where the gateway is reached from outside, if it is by a node port."""


Serving = Annotated[DeploymentServing | SeldonServing, Field(discriminator="engine")]


class Replicas(Section):
    """Bounds of what the autoscaler may do."""

    min: Annotated[int, Field(ge=1, le=100, examples=[1])] = 1
    max: Annotated[int, Field(ge=1, le=100, examples=[4])] = 2


class WorkloadSettings(Section):
    """What one environment adds to a workload. What the workload *is* stands in `workloads/`, the same everywhere."""

    replicas: Replicas = Replicas()
    node_port: NodePort
    """Where its endpoint answers. Engine `seldon` has one address for all: that of its gateway."""


class Settings(Section):
    """One environment."""

    cluster: Cluster
    images: Images
    storage_classes: StorageClasses = StorageClasses()
    database: Database = Database()
    tracking: Tracking = Tracking()
    training: Training = Training()
    serving: Serving = DeploymentServing(engine="deployment")
    """What makes endpoints."""
    workloads: Mapping[ModelName, WorkloadSettings] = {}
    """The workloads that have an endpoint here, once something of them is released. Every workload can be trained."""
    releases: Mapping[ModelName, WorkloadReleases] = {}
    """The model versions that each workload's endpoint answers with. A workload without any has no endpoint yet."""
