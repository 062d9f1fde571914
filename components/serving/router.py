"""The router of an endpoint: NGINX, which distributes the requests to the variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import apps, core, policy

from common.labels import ROLE_LABEL, WORKLOAD_LABEL
from components.objects import labels, name_of
from components.pods import CONTAINER_SECURITY, POD_SECURITY, http_probe, resources, scratch
from components.serving.router_config import PORT, Routes, config, content_name, drain_command
from components.serving.variant import DRAIN_SECONDS, FINISH_SECONDS, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi_kubernetes.core.v1 import ContainerArgsDict, HostAliasArgsDict, PodSpecArgsDict, ServiceSpecArgsDict

ROLE: Final = "router"
SERVICE_PORT: Final = 80
_CONFIG_FOLDER: Final = "/etc/modelstack"
_CONFIG_FILE: Final = "nginx.conf"


@dataclass(frozen=True, kw_only=True)
class RouterArgs:
    """The routes, the image and the address of a router."""

    namespace: Input[str]
    image: Input[str]
    routes: Routes
    cluster_ips: Mapping[str, Input[str]]
    """The cluster IP addresses of the variants' Services, by variant. `routes` contains the names of these Services."""
    replicas: int
    node_port: int | None

    @property
    def selector(self) -> dict[str, str]:
        """The labels that select the router's pods."""
        return {WORKLOAD_LABEL: self.routes.workload, ROLE_LABEL: ROLE}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the router's objects."""
        return {**labels(f"{self.routes.workload}-{ROLE}"), **self.selector}


class Router(pulumi.ComponentResource):
    """A ConfigMap, a Deployment, a disruption budget and the Service of the endpoint."""

    service: Output[str]
    """The name of the Service, which is the name of the workload."""

    def __init__(self, name: str, args: RouterArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:router:Router", name, None, opts)
        text = config(args.routes)
        config_map = core.v1.ConfigMap(
            f"{name}-config",
            metadata={"name": content_name(name, text), "namespace": args.namespace, "labels": args.labels},
            data={_CONFIG_FILE: text},
            immutable=True,
            opts=ResourceOptions(parent=self),
        )
        deployment = apps.v1.Deployment(
            f"{name}-deployment",
            metadata={"name": name, "namespace": args.namespace, "labels": args.labels},
            spec={
                "replicas": args.replicas,
                "selector": {"match_labels": args.selector},
                "strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": 0, "max_surge": 1}},
                "revision_history_limit": 3,
                "template": {
                    "metadata": {"labels": args.labels},
                    "spec": _pod(args, name_of(config_map)),
                },
            },
            opts=ResourceOptions(parent=self),
        )
        service = core.v1.Service(
            f"{name}-service",
            metadata={"name": args.routes.workload, "namespace": args.namespace, "labels": args.labels},
            spec=_service(args),
            # The engine waits until the Service has endpoints, and it has none before there are pods.
            opts=ResourceOptions(parent=self, depends_on=[deployment]),
        )
        policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata={"name": name, "namespace": args.namespace, "labels": args.labels},
            spec={"max_unavailable": 1, "selector": {"match_labels": args.selector}},
            opts=ResourceOptions(parent=self),
        )
        self.service = name_of(service)
        self.register_outputs({"service": self.service})


def _pod(args: RouterArgs, config_map: Output[str]) -> PodSpecArgsDict:
    pod: PodSpecArgsDict = {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": POD_SECURITY,
        "termination_grace_period_seconds": DRAIN_SECONDS + FINISH_SECONDS + 5,
        # NGINX resolves its upstreams only when it starts, and exits if it cannot resolve one. With host aliases it needs no
        # DNS, which may start later than the router after a restart of the node. And if a Service is recreated with another
        # address, the changed alias restarts the router's pods.
        "host_aliases": _aliases(args),
        "containers": [_container(args)],
        "volumes": [{"name": "config", "config_map": {"name": config_map}}, scratch("tmp", "64Mi")],
    }
    if args.replicas > 1:
        pod["topology_spread_constraints"] = [spread(args.selector)]
    return pod


def _aliases(args: RouterArgs) -> Output[list[HostAliasArgsDict]]:
    """Returns the host aliases: the names of the variants' Services, grouped by address.

    Kubernetes allows each address only once. In a preview the API server returns the same address for all Services that do
    not exist yet.
    """

    def by_address(addresses: Mapping[str, str]) -> list[HostAliasArgsDict]:
        hosts: dict[str, list[Input[str]]] = {}
        for target in args.routes.targets:
            hosts.setdefault(addresses[target.variant], []).append(target.host)
        return [{"ip": address, "hostnames": names} for address, names in hosts.items()]

    return Output.all(**args.cluster_ips).apply(by_address)


def _container(args: RouterArgs) -> ContainerArgsDict:
    return {
        "name": "nginx",
        "image": args.image,
        "ports": [{"name": "http", "container_port": PORT}],
        # One worker process forwards several thousand requests per second, more than the variants can answer, with a sixth of
        # their CPU time. If the node's CPU is fully used, pods get CPU in proportion to their requests; with a smaller request
        # the router would be the bottleneck.
        "resources": resources(cpu="200m", memory="64Mi"),
        "security_context": CONTAINER_SECURITY,
        "startup_probe": http_probe("/healthz", "http", period=1, failures=30),
        "readiness_probe": http_probe("/healthz", "http", period=5, failures=3),
        "liveness_probe": http_probe("/healthz", "http", period=10, failures=6),
        "lifecycle": {"pre_stop": {"exec_": {"command": drain_command(seconds=DRAIN_SECONDS)}}},
        "volume_mounts": [
            {"name": "config", "mount_path": _CONFIG_FOLDER, "read_only": True},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108 a volume of this pod
        ],
    }


def _service(args: RouterArgs) -> ServiceSpecArgsDict:
    if args.node_port is None:
        return {"selector": args.selector, "ports": [{"name": "http", "port": SERVICE_PORT, "target_port": "http"}]}
    return {
        "type": "NodePort",
        "selector": args.selector,
        "ports": [{"name": "http", "port": SERVICE_PORT, "target_port": "http", "node_port": args.node_port}],
    }
