"""Where a workload answers, with engine `deployment`: a variant for each release that is served, and a router before them.

That a canary has a share and a shadow has none, that there is at most one of each and neither without a stable variant, is in
the arguments' shape: nothing else can be written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import networking

from common.labels import ROLE_LABEL, WORKLOAD_LABEL
from common.roles import CANARY, SHADOW, STABLE
from common.serving import METRICS_PORT, PORT, RECORDED_PORT
from components.serving.router import ROLE, Router, RouterArgs
from components.serving.router_config import PORT as ROUTER_PORT
from components.serving.router_config import Routes, Target
from components.serving.variant import Capacity, Served, Variant, VariantArgs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulumi_kubernetes.networking.v1 import NetworkPolicyPeerArgsDict, NetworkPolicySpecArgsDict

TUNNEL: Final[NetworkPolicyPeerArgsDict] = {
    "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}},
    "pod_selector": {"match_labels": {"app": "konnectivity-agent"}},
}
"""The API server, where it is not on the pods' network (AKS). Elsewhere it asks from a node, which policies let in."""


@dataclass(frozen=True, kw_only=True)
class CanaryVariant:
    """A release that is tried on part of the requests."""

    served: Served
    percent: int
    """Of the requests, 0 to 100. 0 keeps its replicas running and unasked."""


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The Istio ingress gateway that Seldon's operator hangs its routes on."""

    service: str = "istio-ingressgateway"
    namespace: str = "istio-system"


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """What a workload answers with, and where. The same for both engines."""

    namespace: Input[str]
    router_image: Input[str]
    """Engine `deployment`: of the router. Engine `seldon` has none, nor what is said of it below."""
    capacity: Capacity
    """Of each variant."""
    stable: Served
    canary: CanaryVariant | None = None
    shadow: Served | None = None
    """Gets a copy of every request; its answers are dropped."""
    router_replicas: int = 1
    access_log: bool = False
    """A line for each request in the router's log."""
    host: str = ""
    """Name or address under which the node port is reached."""
    node_port: int | None = None
    """None: reached from inside the cluster only. Engine `seldon`: the gateway's, so all endpoints have the same."""
    gateway: Gateway = Gateway()
    """Engine `seldon`: who asks the variants."""

    def __post_init__(self) -> None:
        if (self.node_port is None) != (not self.host):
            raise ValueError("host and node_port go together; right would be, for example, localhost and 30001, or neither")

    @property
    def served(self) -> dict[str, Served]:
        """The releases by role."""
        canary = self.canary and self.canary.served
        roles = {STABLE: self.stable, CANARY: canary, SHADOW: self.shadow}
        return {role: served for role, served in roles.items() if served}


class Endpoint(pulumi.ComponentResource):
    """One workload's endpoint. `name` is the workload's."""

    url: Output[str]
    """Where predictions are asked for, without the path. Known once the router and all variants are ready."""

    def __init__(self, name: str, args: EndpointArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:endpoint:Endpoint", name, None, opts)
        variants = {
            role: Variant(
                f"{name}-{role}",
                VariantArgs(namespace=args.namespace, workload=name, role=role, served=served, capacity=args.capacity),
                ResourceOptions(parent=self),
            )
            for role, served in args.served.items()
        }
        router = Router(
            f"{name}-{ROLE}",
            RouterArgs(
                namespace=args.namespace,
                image=args.router_image,
                routes=routes(name, args),
                cluster_ips={role: variant.cluster_ip for role, variant in variants.items()},
                replicas=args.router_replicas,
                node_port=args.node_port,
            ),
            # A new canary is asked only when it can answer; and NGINX does not start before every name resolves.
            ResourceOptions(parent=self, depends_on=[*variants.values()]),
        )
        self._allow(name, args)
        self.url = Output.all(router.service, args.namespace, args.host, args.node_port).apply(_url)
        self.register_outputs({"url": self.url})

    def _allow(self, name: str, args: EndpointArgs) -> None:
        """Anyone may ask the router and read metrics; only the router may ask the variants."""
        router = {WORKLOAD_LABEL: name, ROLE_LABEL: ROLE}
        networking.v1.NetworkPolicy(
            f"{name}-router-traffic",
            metadata={"name": f"{name}-router", "namespace": args.namespace},
            spec={
                "pod_selector": {"match_labels": router},
                "policy_types": ["Ingress", "Egress"],
                "ingress": [{"ports": [{"port": ROUTER_PORT}]}],
                "egress": [{"to": [{"pod_selector": {"match_labels": {WORKLOAD_LABEL: name}}}], "ports": [{"port": PORT}]}],
            },
            opts=ResourceOptions(parent=self),
        )
        networking.v1.NetworkPolicy(
            f"{name}-variant-traffic",
            metadata={"name": f"{name}-variants", "namespace": args.namespace},
            spec=variant_traffic(name, {"pod_selector": {"match_labels": router}}),
            opts=ResourceOptions(parent=self),
        )


def variant_traffic(name: str, asked_by: NetworkPolicyPeerArgsDict) -> NetworkPolicySpecArgsDict:
    """Who may ask the variants of endpoint `name`: only `asked_by`, and anyone for metrics. They may ask nobody.

    What they answered lately is shown to whom the API server lets ask through it.
    """
    return {
        "pod_selector": {
            "match_labels": {WORKLOAD_LABEL: name},
            "match_expressions": [{"key": ROLE_LABEL, "operator": "In", "values": [STABLE, CANARY, SHADOW]}],
        },
        "policy_types": ["Ingress", "Egress"],
        "ingress": [
            {"from_": [asked_by], "ports": [{"port": PORT}]},
            {"from_": [TUNNEL], "ports": [{"port": RECORDED_PORT}]},
            {"ports": [{"port": METRICS_PORT}]},
        ],
        "egress": [],  # a model answers from what it was asked
    }


def _url(parts: Sequence[str | int | None]) -> str:
    service, namespace, host, node_port = parts
    return f"http://{host}:{node_port}" if host else f"http://{service}.{namespace}.svc"


def routes(name: str, args: EndpointArgs) -> Routes:
    """What the router of endpoint `name` does."""
    targets = {role: Target(variant=role, address=f"{name}-{role}:{PORT}") for role in args.served}
    return Routes(
        workload=name,
        stable=targets[STABLE],
        canary=targets.get(CANARY),
        canary_percent=args.canary.percent if args.canary else 0,
        shadow=targets.get(SHADOW),
        access_log=args.access_log,
    )
