"""The Kubernetes cluster of an environment: one that the stack starts, or one that exists already.

All kinds of cluster have the same two attributes: `provider`, for the resources in the cluster, and `kubeconfig`, for people
who use `kubectl`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_random as random
from pulumi import Input, Output, ResourceOptions
from pulumi_command import local
from pulumi_kubernetes import Provider

from common.labels import MARK_LABEL


class Cluster(pulumi.ComponentResource):
    """The base class of all kinds of cluster."""

    provider: Provider
    kubeconfig: Output[str]
    """The content of a kubeconfig, as a secret. For an existing cluster, its path, or an empty string for the user's own."""

    def _connect(self, name: str, *, identifier: str, kubeconfig: Input[str] | None, context: str | None = None) -> None:
        """Declares the provider.

        Args:
            name: the name of the component.
            identifier: a string that identifies this cluster. Without it the provider would compare kubeconfigs, so a renewed
                certificate would look like a new cluster and the engine would plan to replace all resources in it.
            kubeconfig: the content or the path of a kubeconfig. None: the user's own.
            context: the context in the kubeconfig. None: the current one.
        """
        self.provider = Provider(
            f"{name}-provider",
            kubeconfig=kubeconfig,
            context=context,
            cluster_identifier=identifier,
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({"kubeconfig": self.kubeconfig})


@dataclass(frozen=True, kw_only=True)
class EmbeddedClusterArgs:
    """The ports of the node. It listens on the loopback address only."""

    api_port: int
    registry_port: int
    node_ports: str
    """The first and the last node port, separated by a dash."""


class EmbeddedCluster(Cluster):
    """A cluster of one node on this machine. The stack starts the node, and `pulumi destroy` deletes the node and its data."""

    def __init__(self, name: str, args: EmbeddedClusterArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:cluster:EmbeddedCluster", name, None, opts)
        ports = f"--api-port {args.api_port} --registry-port {args.registry_port} --node-ports {args.node_ports}"
        node = local.Command(
            f"{name}-node",
            create=f"modelstack node start {ports}",
            delete=f"modelstack node stop {ports} --remove-data",
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,  # stdout is the kubeconfig
            opts=ResourceOptions(parent=self, additional_secret_outputs=["stdout"]),
        )
        self.kubeconfig = Output.secret(node.stdout)
        self._connect(name, identifier=f"modelstack-embedded-{name}", kubeconfig=self.kubeconfig)


@dataclass(frozen=True, kw_only=True)
class KindClusterArgs:
    """The name and the node ports of a cluster of `kind` (Kubernetes in Docker)."""

    cluster_name: str
    node_ports: range
    """The node ports that Docker publishes on this machine."""


class KindCluster(Cluster):
    """A cluster of one node in Docker. The `kind` command creates it, and deletes it if the stack has created it."""

    def __init__(self, name: str, args: KindClusterArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:cluster:KindCluster", name, None, opts)
        # Tells this stack's cluster from one of the same name that somebody else has created.
        mark = random.RandomId(f"{name}-mark", byte_length=8, opts=ResourceOptions(parent=self)).hex
        options = mark.apply(lambda value: f"--name {args.cluster_name} --mark {value}")
        node = local.Command(
            f"{name}-node",
            create=Output.concat("modelstack kind start ", options),
            # Clusters that were created before there were marks have none.
            update=Output.concat("modelstack kind adopt ", options),
            delete=Output.concat("modelstack kind delete ", options),
            stdin=mark.apply(lambda value: json.dumps(kind_config(args.node_ports, value))),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,  # stdout is the kubeconfig
            opts=ResourceOptions(parent=self, additional_secret_outputs=["stdout"], delete_before_replace=True),
        )
        self.kubeconfig = Output.secret(node.stdout)
        self._connect(name, identifier=f"kind-{args.cluster_name}", kubeconfig=self.kubeconfig)


def kind_config(node_ports: range, mark: str) -> dict[str, object]:
    """Returns the configuration of a `kind` cluster that publishes its node ports on the loopback address.

    Args:
        node_ports: the ports.
        mark: the value of a label on the node, by which `local.kind_cluster` recognises the cluster.
    """
    published = [{"containerPort": port, "hostPort": port, "listenAddress": "127.0.0.1"} for port in node_ports]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "labels": {MARK_LABEL: mark}, "extraPortMappings": published}],
    }


@dataclass(frozen=True, kw_only=True)
class ExistingClusterArgs:
    """The kubeconfig of a cluster that somebody else operates, and the context in it."""

    context: str
    kubeconfig: str | None
    """The path of the kubeconfig. None: the user's own."""


class ExistingCluster(Cluster):
    """A cluster that the stack neither creates nor deletes."""

    def __init__(self, name: str, args: ExistingClusterArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:cluster:ExistingCluster", name, None, opts)
        self.kubeconfig = Output.from_input(args.kubeconfig or "")
        self._connect(name, identifier=args.context, kubeconfig=args.kubeconfig, context=args.context)
