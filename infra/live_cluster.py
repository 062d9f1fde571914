"""What a cluster says about itself before any resource is declared: its identity, and the owner of the environment in it.

The Pulumi program and the commands read it here. They refuse a wrong cluster, and an environment that belongs to somebody else,
before the first resource is registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clients import kind
from clients.kubernetes import KubernetesClient, text_at
from common import naming, paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError

if TYPE_CHECKING:
    from common.answers import Answer
    from infra.settings.model import Cluster, Settings

OWNER_CONFIG_MAP: Final = "modelstack-owner"
"""The ConfigMap, in the namespace of the tracking server, that holds the id of the environment's owner under `id`."""


@dataclass(frozen=True, kw_only=True)
class LiveCluster:
    """The identity of a cluster, and the id of the owner of one environment in it."""

    uid: Answer[str]
    """The UID of the namespace `kube-system`: it identifies a cluster, whatever a context is called. Absent if the cluster does
    not exist yet."""
    owner: Answer[str]
    """The id of the environment's owner. Absent if no environment is there, or one of a release that wrote no owner."""


def client(cluster: Cluster) -> Answer[KubernetesClient]:
    """Returns a client for the cluster of the settings before the stack is up. Absent if the stack has not created it yet."""
    try:
        match cluster.kind:
            case "embedded":
                if not paths.KUBECONFIG.is_file():
                    return Absent()
                return Found(KubernetesClient.from_kubeconfig(paths.KUBECONFIG.read_text(encoding="utf-8")))
            case "existing":
                return Found(KubernetesClient.from_file(cluster.kubeconfig, cluster.context))
            case "kind":
                found = kind.kubeconfig(cluster.name)
                return Found(KubernetesClient.from_kubeconfig(found.value)) if isinstance(found, Found) else found
    except UserError as error:
        return Unknown(where=error.where, reason=error.what, fix=error.fix)


def read(settings: Settings) -> LiveCluster:
    """Reads the identity of the cluster and the owner of the environment. Sends two requests."""
    found = client(settings.cluster)
    if not isinstance(found, Found):
        return LiveCluster(uid=found, owner=found)
    api = found.value
    namespace = naming.namespace(settings.cluster.namespace_prefix, "tracking")
    try:
        return LiveCluster(
            uid=_text(api, "/api/v1/namespaces/kube-system", "metadata", "uid"),
            owner=_text(api, f"/api/v1/namespaces/{namespace}/configmaps/{OWNER_CONFIG_MAP}", "data", "id"),
        )
    finally:
        api.close()


def _text(api: KubernetesClient, path: str, *keys: str) -> Answer[str]:
    found = api.find(path)
    if not isinstance(found, Found):
        return found
    text = text_at(found.value, *keys)
    return Found(text) if text else Absent()
