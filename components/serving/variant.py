"""One variant of an endpoint: the replicas that serve a release, and their Service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import apps, autoscaling, core, policy

from common.labels import ROLE_LABEL, RUN_ANNOTATION, VERSION_LABEL, WORKLOAD_LABEL
from common.serving import METRICS_PORT, PORT, RECORDED_PORT
from components.objects import labels, name_of
from components.pods import CONTAINER_SECURITY, POD_SECURITY, env_vars, http_probe, resources

if TYPE_CHECKING:
    from pulumi_kubernetes.apps.v1 import DeploymentSpecArgsDict
    from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscalerSpecArgsDict, MetricSpecArgsDict
    from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodSpecArgsDict, SecurityContextArgsDict
    from pulumi_kubernetes.core.v1.outputs import ServiceSpec
    from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

CONTAINER: Final = "model"
DRAIN_SECONDS: Final = 5
"""The time for which a terminating pod still accepts requests, until all nodes have stopped sending requests to it."""
FINISH_SECONDS: Final = 30
"""The time after that in which the pod finishes its current requests. Equal to gunicorn's graceful timeout and to the time for
which the router waits for an answer."""
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")


@dataclass(frozen=True, kw_only=True)
class ServedRelease:
    """The fields of a release that serving needs."""

    image: str
    """`<registry>/<repository>@sha256:...`. The image contains the model."""
    version: int
    """The version of the registered model."""
    run: str
    """The id of the MLflow run that trained the model."""

    def __post_init__(self) -> None:
        if not _DIGEST.search(self.image):
            raise ValueError(
                f"image {self.image!r} has no digest; a valid example is localhost:5000/markdown-serving@sha256:9f86..."
            )


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The resources of a replica and the number of replicas."""

    cpu: str
    memory: str
    cpu_limit: str | None = None
    workers: int
    """The number of server processes in a replica."""
    min_replicas: int
    max_replicas: int
    """If equal to `min_replicas`, the number of replicas is fixed and there is no autoscaler."""
    target_cpu_percent: int
    """The autoscaler adds replicas if their mean CPU use is above this percentage of the CPU request."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(
                f"replicas from {self.min_replicas} to {self.max_replicas} are not a valid range; an example is from 1 to 2"
            )

    @property
    def scaled(self) -> bool:
        """Whether an autoscaler sets the number of replicas."""
        return self.max_replicas > self.min_replicas


@dataclass(frozen=True, kw_only=True)
class VariantArgs:
    """The release of a variant, and the variant's workload, role and capacity."""

    namespace: Input[str]
    workload: str
    role: str
    """`stable`, `canary` or `shadow`."""
    served: ServedRelease
    capacity: Capacity

    @property
    def selector(self) -> dict[str, str]:
        """The labels that select the variant's pods, whatever their version."""
        return {WORKLOAD_LABEL: self.workload, ROLE_LABEL: self.role}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the variant's objects."""
        return {**labels(f"{self.workload}-{self.role}"), **self.selector, VERSION_LABEL: str(self.served.version)}


class Variant(pulumi.ComponentResource):
    """A Deployment, a Service, a disruption budget and, if the number of replicas may vary, an autoscaler."""

    address: Output[str]
    """`host:port` within the namespace. Resolves when replicas are ready."""
    cluster_ip: Output[str]
    """The IP address of the host. It does not change during the lifetime of the Service."""

    def __init__(self, name: str, args: VariantArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:variant:Variant", name, None, opts)
        annotations = {RUN_ANNOTATION: args.served.run}
        metadata: ObjectMetaArgsDict = {
            "name": name,
            "namespace": args.namespace,
            "labels": args.labels,
            "annotations": annotations,
        }
        deployment = apps.v1.Deployment(
            f"{name}-deployment", metadata=metadata, spec=_deployment(args, annotations), opts=ResourceOptions(parent=self)
        )
        service = core.v1.Service(
            f"{name}-service",
            metadata={"name": name, "namespace": args.namespace, "labels": args.labels},
            spec={
                "selector": args.selector,
                "ports": [
                    {"name": "http", "port": PORT, "target_port": "http"},
                    {"name": "metrics", "port": METRICS_PORT, "target_port": "metrics"},
                ],
            },
            # The engine waits until the Service has endpoints, and it has none before there are pods.
            opts=ResourceOptions(parent=self, depends_on=[deployment]),
        )
        policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata={"name": name, "namespace": args.namespace, "labels": args.labels},
            # With `minAvailable: 1`, the node of a single replica could never be drained.
            spec={"max_unavailable": 1, "selector": {"match_labels": args.selector}},
            opts=ResourceOptions(parent=self),
        )
        if args.capacity.scaled:
            autoscaling.v2.HorizontalPodAutoscaler(
                f"{name}-autoscaler",
                metadata={"name": name, "namespace": args.namespace, "labels": args.labels},
                spec=_autoscaler(args.capacity, name_of(deployment)),
                opts=ResourceOptions(parent=self),
            )
        self.address = name_of(service).apply(_address)
        self.cluster_ip = service.spec.apply(_cluster_ip)
        self.register_outputs({"address": self.address})


def _address(service: str) -> str:
    return f"{service}:{PORT}"


def _cluster_ip(spec: ServiceSpec) -> str:
    return spec.cluster_ip or ""


def _deployment(args: VariantArgs, annotations: dict[str, str]) -> DeploymentSpecArgsDict:
    spec: DeploymentSpecArgsDict = {
        "selector": {"match_labels": args.selector},
        "strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": 0, "max_surge": 1}},
        "revision_history_limit": 3,
        "template": {"metadata": {"labels": args.labels, "annotations": annotations}, "spec": pod(args)},
    }
    if not args.capacity.scaled:  # otherwise each `pulumi up` would reset the number of replicas that the autoscaler has set
        spec["replicas"] = args.capacity.min_replicas
    return spec


def pod(args: VariantArgs, security: SecurityContextArgsDict = CONTAINER_SECURITY) -> PodSpecArgsDict:
    """Returns the pod spec of one replica, for both serving engines. `security` is the security context of its container."""
    spec: PodSpecArgsDict = {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": POD_SECURITY,
        "termination_grace_period_seconds": DRAIN_SECONDS + FINISH_SECONDS + 5,
        "containers": [_container(args, security)],
        # gunicorn's workers touch a file every second as a heartbeat. The file is in memory, because on a slow disk a worker
        # would look dead.
        "volumes": [{"name": "tmp", "empty_dir": {"medium": "Memory", "size_limit": "16Mi"}}],
    }
    if args.capacity.max_replicas > 1:
        spec["topology_spread_constraints"] = [spread(args.selector)]
    return spec


def spread(selector: dict[str, str]) -> core.v1.TopologySpreadConstraintArgsDict:
    """Returns a constraint that prefers different nodes for the replicas. It never prevents a replica from being scheduled."""
    return {
        "max_skew": 1,
        "topology_key": "kubernetes.io/hostname",
        "when_unsatisfiable": "ScheduleAnyway",
        "label_selector": {"match_labels": selector},
    }


def _container(args: VariantArgs, security: SecurityContextArgsDict) -> ContainerArgsDict:
    capacity = args.capacity
    return {
        "name": CONTAINER,
        "image": args.served.image,
        "env": env_vars({"GUNICORN_WORKERS": str(capacity.workers)}),
        "ports": [
            {"name": "http", "container_port": PORT},
            {"name": "metrics", "container_port": METRICS_PORT},
            {"name": "recorded", "container_port": RECORDED_PORT},
        ],
        "resources": resources(cpu=capacity.cpu, memory=capacity.memory, cpu_limit=capacity.cpu_limit),
        "security_context": security,
        "startup_probe": http_probe("/health/ping", "http", period=1, failures=120),
        # The service predicts an example on each probe, so a ready replica has a model that answers.
        "readiness_probe": http_probe("/health/status", "http", period=5, failures=3),
        "liveness_probe": http_probe("/health/ping", "http", period=10, failures=6),
        "lifecycle": {"pre_stop": {"exec_": {"command": ["sleep", str(DRAIN_SECONDS)]}}},
        "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108 a volume of this pod
    }


def _autoscaler(capacity: Capacity, deployment: Output[str]) -> HorizontalPodAutoscalerSpecArgsDict:
    return {
        "scale_target_ref": {"api_version": "apps/v1", "kind": "Deployment", "name": deployment},
        "min_replicas": capacity.min_replicas,
        "max_replicas": capacity.max_replicas,
        "metrics": cpu_metrics(capacity),
    }


def cpu_metrics(capacity: Capacity) -> list[MetricSpecArgsDict]:
    """Returns the metrics of an autoscaler that targets a mean CPU use."""
    target_percent = capacity.target_cpu_percent
    return [
        {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "average_utilization": target_percent}},
        }
    ]
