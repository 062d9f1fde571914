"""The Kubernetes objects that every node needs: roles of its components, DNS, metrics and the storage class."""

from __future__ import annotations

from typing import Any, Final

from local.node.config import DNS_SERVICE, NODE_ADDRESS
from local.node.kubernetes.services import METRICS_PORT, PROVISIONER

Manifest = dict[str, Any]
"""A Kubernetes object of any kind."""

_RBAC: Final = "rbac.authorization.k8s.io"
_READ: Final = ["get", "list", "watch"]
_SYSTEM: Final = "kube-system"


def manifests(ca_bundle: str) -> list[tuple[str, Manifest]]:
    """Returns the objects to apply at each start, each with its API path.

    Args:
        ca_bundle: the certificate of the cluster's authority, in base64. The API server uses it to verify the metrics server.
    """
    return [
        *_role(
            "coredns", [([""], ["services", "namespaces", "pods"], _READ), (["discovery.k8s.io"], ["endpointslices"], _READ)]
        ),
        *_role(
            "provisioner",
            [
                ([""], ["persistentvolumes"], [*_READ, "create", "delete", "update", "patch"]),
                ([""], ["persistentvolumeclaims"], [*_READ, "update", "patch"]),
                ([""], ["nodes"], _READ),
                ([""], ["events"], ["create", "patch", "update"]),
                (["storage.k8s.io"], ["storageclasses"], _READ),
            ],
        ),
        *_role("network-policy", [([""], ["pods", "namespaces"], _READ), (["networking.k8s.io"], ["networkpolicies"], _READ)]),
        *_role("metrics", [([""], ["pods"], _READ), ([""], ["nodes/stats"], ["get"])]),
        _binding("kube-apiserver-kubelet-client", "system:kubelet-api-admin", "kube-apiserver-kubelet-client"),
        *_readable_metrics(),
        _storage_class(),
        *_service("kube-dns", DNS_SERVICE, [("dns", "UDP", 53, 53), ("dns-tcp", "TCP", 53, 53)]),
        *_service("metrics", None, [("https", "TCP", 443, METRICS_PORT)]),
        _metrics_api(ca_bundle),
    ]


def _role(name: str, rules: list[tuple[list[str], list[str], list[str]]]) -> list[tuple[str, Manifest]]:
    name = f"modelstack:{name}"
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": groups, "resources": resources, "verbs": verbs} for groups, resources, verbs in rules],
    }
    return [(f"/apis/{_RBAC}/v1/clusterroles/{name}", role), _binding(name, name, name)]


def _binding(name: str, role: str, user: str) -> tuple[str, Manifest]:
    return (
        f"/apis/{_RBAC}/v1/clusterrolebindings/{name}",
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
        },
    )


def _readable_metrics() -> list[tuple[str, Manifest]]:
    """Grants access to metrics, which autoscalers use as well, to everybody who may view, edit or administer workloads."""
    name = "modelstack:metrics-reader"
    labels = {f"{_RBAC}/aggregate-to-{role}": "true" for role in ("view", "edit", "admin")}
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels},
        "rules": [{"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list"]}],
    }
    return [(f"/apis/{_RBAC}/v1/clusterroles/{name}", role)]


def _storage_class() -> tuple[str, Manifest]:
    return (
        "/apis/storage.k8s.io/v1/storageclasses/local",
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate",
        },
    )


def _service(name: str, address: str | None, ports: list[tuple[str, str, int, int]]) -> list[tuple[str, Manifest]]:
    """Returns a Service for a process that runs outside of pods, and its EndpointSlice: a selector matches only pods."""
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "modelstack-node"}
    spec: Manifest = {
        "ports": [
            {"name": label, "protocol": protocol, "port": port, "targetPort": target} for label, protocol, port, target in ports
        ]
    }
    if address is not None:
        spec["clusterIP"] = address
    return [
        (
            f"/api/v1/namespaces/{_SYSTEM}/services/{name}",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": _SYSTEM, "labels": labels},
                "spec": spec,
            },
        ),
        (
            f"/apis/discovery.k8s.io/v1/namespaces/{_SYSTEM}/endpointslices/{name}-node",
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{name}-node",
                    "namespace": _SYSTEM,
                    "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "modelstack-node"},
                },
                "addressType": "IPv4",
                "ports": [{"name": label, "protocol": protocol, "port": target} for label, protocol, _, target in ports],
                "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
            },
        ),
    ]


def _metrics_api(ca_bundle: str) -> tuple[str, Manifest]:
    name = "v1beta1.metrics.k8s.io"
    return (
        f"/apis/apiregistration.k8s.io/v1/apiservices/{name}",
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": ca_bundle,
                "service": {"name": "metrics", "namespace": _SYSTEM, "port": 443},
            },
        },
    )
