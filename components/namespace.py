"""A namespace that enforces the `restricted` Pod Security standard and denies traffic by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import core, networking

from components.objects import name_of

_DNS_PORTS: Final = ("UDP", "TCP")


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    """The name of a namespace in the cluster."""

    name: Input[str]


class Namespace(pulumi.ComponentResource):
    """A namespace. Its default policy denies all traffic except DNS; components that need other traffic declare policies."""

    name: Output[str]

    def __init__(self, name: str, args: NamespaceArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:namespace:Namespace", name, None, opts)
        namespace = core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": args.name,
                "labels": {
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/warn": "restricted",
                    "app.kubernetes.io/part-of": "modelstack",
                },
            },
            opts=ResourceOptions(parent=self),
        )
        self.name = name_of(namespace)
        networking.v1.NetworkPolicy(
            f"{name}-default",
            metadata={"name": "default", "namespace": self.name},
            spec={
                "pod_selector": {},
                "policy_types": ["Ingress", "Egress"],
                "egress": [
                    {
                        "to": [{"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}}}],
                        "ports": [{"port": 53, "protocol": protocol} for protocol in _DNS_PORTS],
                    }
                ],
            },
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({"name": self.name})
