"""One variant of an endpoint: a release in replicas of its own, and the Service they are reached by."""

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
from components.pods import CONTAINER_SECURITY, POD_SECURITY, environment, http_probe, resources

if TYPE_CHECKING:
    from pulumi_kubernetes.apps.v1 import DeploymentSpecArgsDict
    from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscalerSpecArgsDict, MetricSpecArgsDict
    from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodSpecArgsDict, SecurityContextArgsDict
    from pulumi_kubernetes.core.v1.outputs import ServiceSpec
    from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

CONTAINER: Final = "model"
LEAVE_SECONDS: Final = 5
"""A pod that is to end stays this long, so that every node knows that it is no longer to be asked."""
FINISH_SECONDS: Final = 30
"""Then it has this long for the requests it is at: gunicorn's grace, and the longest the router waits for an answer."""
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A release, as far as serving it goes."""

    image: str
    """`<registry>/<repository>@sha256:...`: the model is in it."""
    version: int
    """Of the registered model."""
    run: str
    """The MLflow run it comes from."""

    def __post_init__(self) -> None:
        if not _DIGEST.search(self.image):
            raise ValueError(
                f"image {self.image!r} has no digest; right would be localhost:5000/markdown-serving@sha256:9f86..."
            )


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a replica may use, and how many there are."""

    cpu: str
    memory: str
    cpu_limit: str | None = None
    workers: int
    """Server processes in a replica."""
    min_replicas: int
    max_replicas: int
    """The same as `min_replicas`: a fixed number, and no autoscaler."""
    target_cpu_percent: int
    """Replicas are added when the mean use of the CPU asked for is above."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(
                f"replicas from {self.min_replicas} to {self.max_replicas}; right would be, for example, from 1 to 2"
            )

    @property
    def scaled(self) -> bool:
        """Whether an autoscaler decides on the replicas."""
        return self.max_replicas > self.min_replicas


@dataclass(frozen=True, kw_only=True)
class VariantArgs:
    """What to serve as which variant of whose endpoint."""

    namespace: Input[str]
    workload: str
    role: str
    """`stable`, `canary` or `shadow`."""
    served: Served
    capacity: Capacity

    @property
    def selector(self) -> dict[str, str]:
        """What finds its pods, in all their versions."""
        return {WORKLOAD_LABEL: self.workload, ROLE_LABEL: self.role}

    @property
    def labels(self) -> dict[str, str]:
        """What its objects bear."""
        return {**labels(f"{self.workload}-{self.role}"), **self.selector, VERSION_LABEL: str(self.served.version)}


class Variant(pulumi.ComponentResource):
    """Deployment, Service, disruption budget and, where the number of replicas may vary, an autoscaler."""

    address: Output[str]
    """`host:port` within the namespace. Known once replicas are ready."""
    cluster_ip: Output[str]
    """What `host` resolves to, for as long as the Service lives."""

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
            # Its endpoints are awaited, and there are none before there are pods.
            opts=ResourceOptions(parent=self, depends_on=[deployment]),
        )
        policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata={"name": name, "namespace": args.namespace, "labels": args.labels},
            # `minAvailable: 1` would keep the node of a single replica from ever being drained.
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
    if not args.capacity.scaled:  # else every `pulumi up` would undo what the autoscaler did
        spec["replicas"] = args.capacity.min_replicas
    return spec


def pod(args: VariantArgs, security: SecurityContextArgsDict = CONTAINER_SECURITY) -> PodSpecArgsDict:
    """One replica, whoever makes it. `security` is its container's."""
    spec: PodSpecArgsDict = {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": POD_SECURITY,
        "termination_grace_period_seconds": LEAVE_SECONDS + FINISH_SECONDS + 5,
        "containers": [_container(args, security)],
        # gunicorn's workers touch a file every second to say that they live: in memory, for a slow disk would look like death.
        "volumes": [{"name": "tmp", "empty_dir": {"medium": "Memory", "size_limit": "16Mi"}}],
    }
    if args.capacity.max_replicas > 1:
        spec["topology_spread_constraints"] = [spread(args.selector)]
    return spec


def spread(selector: dict[str, str]) -> core.v1.TopologySpreadConstraintArgsDict:
    """Replicas on different nodes where there are several; never a reason not to run."""
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
        "env": environment({"GUNICORN_WORKERS": str(capacity.workers)}),
        "ports": [
            {"name": "http", "container_port": PORT},
            {"name": "metrics", "container_port": METRICS_PORT},
            {"name": "recorded", "container_port": RECORDED_PORT},
        ],
        "resources": resources(cpu=capacity.cpu, memory=capacity.memory, cpu_limit=capacity.cpu_limit),
        "security_context": security,
        "startup_probe": http_probe("/health/ping", "http", period=1, failures=120),
        # Predicts an example: ready means that the model answers.
        "readiness_probe": http_probe("/health/status", "http", period=5, failures=3),
        "liveness_probe": http_probe("/health/ping", "http", period=10, failures=6),
        "lifecycle": {"pre_stop": {"exec_": {"command": ["sleep", str(LEAVE_SECONDS)]}}},
        "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108 - a mount of the pod's own
    }


def _autoscaler(capacity: Capacity, deployment: Output[str]) -> HorizontalPodAutoscalerSpecArgsDict:
    return {
        "scale_target_ref": {"api_version": "apps/v1", "kind": "Deployment", "name": deployment},
        "min_replicas": capacity.min_replicas,
        "max_replicas": capacity.max_replicas,
        "metrics": cpu_metrics(capacity),
    }


def cpu_metrics(capacity: Capacity) -> list[MetricSpecArgsDict]:
    """What an autoscaler goes by."""
    target_percent = capacity.target_cpu_percent
    return [
        {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "average_utilization": target_percent}},
        }
    ]
