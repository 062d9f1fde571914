"""The endpoint of a workload with engine `seldon`: a SeldonDeployment, for clusters with Seldon's operator (1.17) and Istio.

The operator creates the Deployments, Services and autoscalers, and Istio's routes from the gateway to the Services.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pulumi
from pulumi import Output, ResourceOptions
from pulumi_kubernetes import apiextensions, networking

from common.labels import WORKLOAD_LABEL
from components.objects import labels
from components.serving import seldon_rules, seldon_spec
from components.serving.endpoint import variant_traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.serving.endpoint import EndpointArgs

API_VERSION: Final = "machinelearning.seldon.io/v1"
KIND: Final = "SeldonDeployment"
TIMEOUT_SECONDS: Final = 660
"""Longer than the progress deadline of a Deployment (600 s), so the operator reports a failed Deployment before the timeout."""


class SeldonEndpoint(pulumi.ComponentResource):
    """The endpoint of one workload. `name` is the name of the workload."""

    url: Output[str]
    """The URL of the endpoint without the path of predictions. Resolves when the operator reports all variants as available.

    It is a URL of the gateway, because only the gateway splits requests between the variants and copies them to the shadow.
    Each of the operator's Services leads to one variant only.
    """

    def __init__(self, name: str, args: EndpointArgs, opts: ResourceOptions | None = None) -> None:
        spec = seldon_spec.spec(name, args)
        seldon_rules.check(name, spec)
        super().__init__("modelstack:seldon:SeldonEndpoint", name, None, opts)
        deployment = apiextensions.CustomResource(
            f"{name}-deployment",
            api_version=API_VERSION,
            kind=KIND,
            metadata={
                "name": name,
                "namespace": args.namespace,
                "labels": {**labels(name), WORKLOAD_LABEL: name},
                "annotations": {
                    # After an update, the state remains Available until the operator processes the update. So the engine does
                    # not wait for an update as reliably as for a creation. This is safe, because the operator moves the route
                    # to a new variant only after the variant is ready.
                    "pulumi.com/waitFor": "jsonpath={.status.state}=Available",
                    "pulumi.com/timeoutSeconds": str(TIMEOUT_SECONDS),
                },
            },
            spec=spec,
            opts=ResourceOptions(parent=self),
        )
        networking.v1.NetworkPolicy(
            f"{name}-variant-traffic",
            metadata={"name": f"{name}-variants", "namespace": args.namespace},
            spec=variant_traffic(
                name, {"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": args.gateway.namespace}}}
            ),
            opts=ResourceOptions(parent=self),
        )
        address = f"{args.host}:{args.node_port}" if args.host else f"{args.gateway.service}.{args.gateway.namespace}.svc"
        # The id resolves when the SeldonDeployment is available.
        self.url = Output.all(address, args.namespace, name, deployment.id).apply(_url)
        self.register_outputs({"url": self.url})


def _url(parts: Sequence[str]) -> str:
    address, namespace, name, _ = parts
    return f"http://{address}/seldon/{namespace}/{name}"
