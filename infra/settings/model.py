"""The types of one environment's settings. A stack file holds one object per concern, under the key `modelstack:<concern>`.

`infra.foundation.settings` has the types of what the environment stands on. `infra.settings.loading` reads the settings, and
`infra.settings.consistency` checks the rules that hold between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from infra.foundation.settings.foundation import FoundationSettings
from infra.sections.section import Section
from infra.sections.types import Cpu, Memory, ModelName, NodePort, Storage
from infra.settings.releases import WorkloadReleases


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


class Settings(FoundationSettings):
    """The settings of one environment: what it stands on, and what runs there."""

    tracking: Tracking = Tracking()
    training: Training = Training()
    serving: Serving = DeploymentServing(engine="deployment")
    """The engine that serves the endpoints."""
    workloads: Mapping[ModelName, WorkloadSettings] = {}
    """The workloads that get an endpoint in this environment with their first release. Others can only be trained."""
    releases: Mapping[ModelName, WorkloadReleases] = {}
    """The model versions that each workload's endpoint serves. A workload without a release has no endpoint yet."""
