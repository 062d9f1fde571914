"""The endpoint of a workload with engine `deployment`: a variant for each served release, behind a router.

The types of the arguments allow only valid combinations: exactly one stable variant, at most one canary and at most one
shadow. A canary has a share of the requests; a shadow has none.
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
from components.serving.variant import Capacity, ServedRelease, Variant, VariantArgs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulumi_kubernetes.networking.v1 import NetworkPolicyPeerArgsDict, NetworkPolicySpecArgsDict

API_SERVER_TUNNEL: Final[NetworkPolicyPeerArgsDict] = {
    "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}},
    "pod_selector": {"match_labels": {"app": "konnectivity-agent"}},
}
"""The source of requests from the API server if it is outside the pods' network (AKS). In other clusters these requests come
from a node, and network policies allow traffic from nodes."""


@dataclass(frozen=True, kw_only=True)
class CanaryVariant:
    """A release on trial. It answers a share of the requests."""

    served: ServedRelease
    percent: int
    """The share of requests in percent, 0 to 100. With 0 the replicas run but get no requests."""


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The Istio ingress gateway to which Seldon's operator attaches its routes."""

    service: str = "istio-ingressgateway"
    namespace: str = "istio-system"


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """The releases, the capacity and the address of an endpoint. Both engines have the same arguments."""

    namespace: Input[str]
    router_image: Input[str]
    """The router's image. Not used by engine `seldon`, like `router_replicas` and `access_log`."""
    capacity: Capacity
    """The capacity of each variant."""
    stable: ServedRelease
    canary: CanaryVariant | None = None
    shadow: ServedRelease | None = None
    """The release that gets a copy of every request. Its answers are dropped."""
    router_replicas: int = 1
    access_log: bool = False
    """Whether the router logs each request."""
    host: str = ""
    """The host name or address at which clients outside the cluster reach the node port."""
    node_port: int | None = None
    """The node port of the endpoint. None: only clients inside the cluster reach it. Engine `seldon`: the node port of the
    gateway, which all endpoints share."""
    gateway: Gateway = Gateway()
    """Engine `seldon` only: the gateway that sends requests to the variants."""

    def __post_init__(self) -> None:
        if (self.node_port is None) != (not self.host):
            raise ValueError("host and node_port must be set together, for example to localhost and 30001, or not at all")

    @property
    def served(self) -> dict[str, ServedRelease]:
        """The served releases by role."""
        canary = self.canary and self.canary.served
        roles = {STABLE: self.stable, CANARY: canary, SHADOW: self.shadow}
        return {role: served for role, served in roles.items() if served}


class Endpoint(pulumi.ComponentResource):
    """The endpoint of one workload. `name` is the name of the workload."""

    url: Output[str]
    """The URL of the endpoint without a path. Resolves when the router and all variants are ready."""

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
            # A new canary gets requests only after it is ready. And NGINX does not start until it can resolve all names.
            ResourceOptions(parent=self, depends_on=[*variants.values()]),
        )
        self._allow(name, args)
        self.url = Output.all(router.service, args.namespace, args.host, args.node_port).apply(_url)
        self.register_outputs({"url": self.url})

    def _allow(self, name: str, args: EndpointArgs) -> None:
        """Declares the network policies.

        All clients may send requests to the router and read metrics. Only the router may send requests to the variants.
        """
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


def variant_traffic(name: str, client: NetworkPolicyPeerArgsDict) -> NetworkPolicySpecArgsDict:
    """Returns the network policy of the variants of endpoint `name`.

    Only `client` may send prediction requests. All clients may read metrics. Recent answers are readable only through the API
    server, by users that may connect to pods through it. The variants may not open connections.
    """
    return {
        "pod_selector": {
            "match_labels": {WORKLOAD_LABEL: name},
            "match_expressions": [{"key": ROLE_LABEL, "operator": "In", "values": [STABLE, CANARY, SHADOW]}],
        },
        "policy_types": ["Ingress", "Egress"],
        "ingress": [
            {"from_": [client], "ports": [{"port": PORT}]},
            {"from_": [API_SERVER_TUNNEL], "ports": [{"port": RECORDED_PORT}]},
            {"ports": [{"port": METRICS_PORT}]},
        ],
        "egress": [],  # a model needs nothing but the request
    }


def _url(parts: Sequence[str | int | None]) -> str:
    service, namespace, host, node_port = parts
    return f"http://{host}:{node_port}" if host else f"http://{service}.{namespace}.svc"


def routes(name: str, args: EndpointArgs) -> Routes:
    """Returns the routes of the router of endpoint `name`."""
    targets = {role: Target(variant=role, address=f"{name}-{role}:{PORT}") for role in args.served}
    return Routes(
        workload=name,
        stable=targets[STABLE],
        canary=targets.get(CANARY),
        canary_percent=args.canary.percent if args.canary else 0,
        shadow=targets.get(SHADOW),
        access_log=args.access_log,
    )
