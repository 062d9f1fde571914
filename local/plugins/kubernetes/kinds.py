"""The SDK's type tokens: which of them are objects of the API, and which are made by the official plugin only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.manifests import objects
from local.plugins.protocol.messages import Failed

if TYPE_CHECKING:
    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.protocol.values import Object, Value

UNREACHABLE_HELP: Final = (
    "Start it, or if it is gone for good, run this again with PULUMI_K8S_DELETE_UNREACHABLE=true: its objects are then "
    "dropped from the state"
)
_ONLY_OFFICIAL: Final = ("helm.sh", "kustomize", "yaml")


def _parts(type_token: str) -> tuple[str, str, str]:
    """`kubernetes:apps/v1:Deployment` -> module `apps/v1` as API version, kind, module's first part."""
    module, _, kind = type_token.removeprefix("kubernetes:").rpartition(":")
    group, _, version = module.partition("/")
    return (version if group == "core" else module), kind, group


def is_patch(type_token: str) -> bool:
    """Whether it is a `...Patch` resource, which sets fields of an object that it does not own."""
    return type_token.endswith("Patch")


def refuse(type_token: str) -> None:
    """Refuses what is no object of the API."""
    _, kind, group = _parts(type_token)
    if group in _ONLY_OFFICIAL:
        raise Failed(
            f"{type_token} is made by the official plugin only. With this one, use typed resources, "
            "apiextensions.CustomResource or kubernetes.yaml.ConfigGroup (version 1)"
        )
    if kind.endswith("List") and kind != "List":
        raise Failed(
            f"{type_token} only groups objects in manifests, and the API server stores none: declare each object by itself"
        )


def identity(type_token: str, resource_id: str, cluster: Cluster) -> Object:
    """The object that an id (`namespace/name` or `name`) means, for one that the state knows nothing else of."""
    api_version, kind, _ = _parts(type_token)
    namespace, _, name = resource_id.rpartition("/")
    obj: Object = {"apiVersion": api_version, "kind": kind.removesuffix("Patch"), "metadata": {"name": name}}
    if cluster.namespaced(obj):
        return objects.with_metadata(obj, namespace=namespace or cluster.api.access.namespace)
    return obj


def with_default_namespace(documents: list[Value], namespace: str) -> list[Value]:
    """Manifests, lists taken apart; those without a namespace get this one (the server ignores it where kinds have none)."""
    flat: list[Object] = []
    for document in documents:
        if isinstance(document, dict):
            obj = cast("Object", document)
            flat += objects.items(obj, "items") if objects.kind(obj).endswith("List") else [obj]
    if not namespace:
        return cast("list[Value]", flat)
    return [obj if objects.namespace(obj) else objects.with_metadata(obj, namespace=namespace) for obj in flat]
