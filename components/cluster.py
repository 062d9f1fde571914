"""The Kubernetes that everything else runs in: one that the stack starts itself, or one that is there already.

All kinds give the same two things: `provider`, which resources are declared with, and `kubeconfig`, for whoever comes by hand.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_command import local
from pulumi_kubernetes import Provider


class Cluster(pulumi.ComponentResource):
    """What all kinds of cluster have in common."""

    provider: Provider
    kubeconfig: Output[str]
    """Content of a kubeconfig, a secret; of an existing cluster its path, empty for the user's own."""

    def _connect(self, name: str, *, identifier: str, kubeconfig: Input[str] | None, context: str | None = None) -> None:
        """Declares the provider.

        Args:
            name: of the component.
            identifier: what tells this cluster from another. Without it the provider would compare kubeconfigs, and a new
                certificate would look like a new cluster: everything in it would be planned anew.
            kubeconfig: content or path; None: the user's own.
            context: in the kubeconfig, where it is not the current one.
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
    """Where the node listens, always on the loopback address."""

    api_port: int
    registry_port: int
    node_ports: str
    """First and last, with a dash between."""


class EmbeddedCluster(Cluster):
    """A node of its own on this machine. It starts with the stack and goes with it, its data included."""

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
    """A cluster of `kind`, Kubernetes in Docker."""

    cluster_name: str
    node_ports: range
    """The node ports that Docker publishes on this machine."""


class KindCluster(Cluster):
    """A cluster of one node in Docker, made and deleted by the `kind` command."""

    def __init__(self, name: str, args: KindClusterArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:cluster:KindCluster", name, None, opts)
        chosen = f"--name {args.cluster_name}"
        exists = f"kind get clusters | grep -qx {args.cluster_name}"
        node = local.Command(
            f"{name}-node",
            create=f"{exists} || kind create cluster {chosen} --config - 1>&2; kind get kubeconfig {chosen}",
            delete=f"kind delete cluster {chosen}",
            stdin=json.dumps(kind_config(args.node_ports)),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,  # stdout is the kubeconfig
            opts=ResourceOptions(parent=self, additional_secret_outputs=["stdout"], delete_before_replace=True),
        )
        self.kubeconfig = Output.secret(node.stdout)
        self._connect(name, identifier=f"kind-{args.cluster_name}", kubeconfig=self.kubeconfig)


def kind_config(node_ports: range) -> dict[str, object]:
    """The configuration file of a cluster whose node ports are published on the loopback address."""
    published = [{"containerPort": port, "hostPort": port, "listenAddress": "127.0.0.1"} for port in node_ports]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraPortMappings": published}],
    }


@dataclass(frozen=True, kw_only=True)
class ExistingClusterArgs:
    """Where to find a cluster that others run."""

    context: str
    kubeconfig: str | None
    """Path; None: the user's own."""


class ExistingCluster(Cluster):
    """A cluster that is there before the stack and stays after it."""

    def __init__(self, name: str, args: ExistingClusterArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:cluster:ExistingCluster", name, None, opts)
        self.kubeconfig = Output.from_input(args.kubeconfig or "")
        self._connect(name, identifier=args.context, kubeconfig=args.kubeconfig, context=args.context)
