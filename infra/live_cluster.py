"""What a cluster says about itself before any resource is declared: its identity, and the owner of the environment in it.

The Pulumi program and the commands read it here. They refuse a wrong cluster, and an environment that belongs to somebody else,
before the first resource is registered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from clients.kubernetes import KubernetesClient, text_at
from common import naming, paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clients.kubernetes import Object
    from common.answers import Answer
    from infra.foundation.settings.cluster import ClusterSettings
    from infra.settings.model import Settings

OWNER_CONFIG_MAP: Final = "modelstack-owner"
"""The ConfigMap, in the namespace of the tracking server, that holds the id of the environment's owner under `id`."""
RELEASES_CONFIG_MAP: Final = "modelstack-releases"
"""The ConfigMap, in the same namespace, with the deployed releases: see `components.release_record`."""
DATABASE_SECRET: Final = "postgres"  # noqa: S105 a name
"""The Secret, in the same namespace, with the database's password: where it exists, an environment exists."""

_KUBE_SYSTEM: Final = "/api/v1/namespaces/kube-system"


@dataclass(frozen=True, kw_only=True)
class LiveCluster:
    """The identity of a cluster, and the id of the owner of one environment in it."""

    uid: Answer[str]
    """The UID of the namespace `kube-system`: it identifies a cluster, whatever a context is called. Absent if the cluster does
    not exist yet."""
    owner: Answer[str]
    """The id of the environment's owner. Absent if no environment is there, or one of a release that wrote no owner."""
    owned_by: str = ""
    """The owner's backend, project and stack, for people. Empty if the owner is not found."""
    database: Answer[str] = field(default_factory=Absent)
    """The UID of the Secret with the database's password. Found for an environment of a release that wrote no owner, too."""
    embedded_uid: Answer[str] = field(default_factory=Absent)
    """The UID of the cluster that this checkout itself starts. Asked only if `uid` may be the same cluster by another way."""


def client(cluster: ClusterSettings) -> Answer[KubernetesClient]:
    """Returns a client for the cluster of the settings before the stack is up. Absent if the stack has not created it yet."""
    try:
        return cluster.client()
    except UserError as error:
        return Unknown.from_error(error)


def tracking_namespace(settings: Settings) -> str:
    """Returns the namespace of the tracking server, which has the database, the passwords and the owner."""
    return naming.namespace(settings.cluster.namespace_prefix, naming.TRACKING)


def read(settings: Settings) -> LiveCluster:
    """Reads the identity of the cluster and the owner of the environment. Sends three or four requests."""
    found = client(settings.cluster)
    if not isinstance(found, Found):
        return LiveCluster(uid=found, owner=found, database=found)
    api = found.value
    objects = f"/api/v1/namespaces/{tracking_namespace(settings)}"
    try:
        owner = api.find(f"{objects}/configmaps/{OWNER_CONFIG_MAP}")
        return LiveCluster(
            uid=_text(api.find(_KUBE_SYSTEM), "metadata", "uid"),
            owner=_owner(owner, f"{api.server}{objects}/configmaps/{OWNER_CONFIG_MAP}"),
            owned_by=described(owner.value) if isinstance(owner, Found) else "",
            database=_text(api.find(f"{objects}/secrets/{DATABASE_SECRET}"), "metadata", "uid"),
            embedded_uid=Absent() if settings.cluster.created_name else _embedded_uid(),
        )
    finally:
        api.close()


def _embedded_uid() -> Answer[str]:
    """Returns the UID of the cluster that this checkout starts. Absent if the cluster was not started yet."""
    if not paths.KUBECONFIG.is_file():
        return Absent()
    try:
        api = KubernetesClient.from_file(str(paths.KUBECONFIG))
    except UserError as error:
        return Unknown.from_error(error, where=str(paths.KUBECONFIG))
    try:
        return _text(api.find(_KUBE_SYSTEM), "metadata", "uid")
    finally:
        api.close()


def _owner(answer: Answer[Object], where: str) -> Answer[str]:
    """Returns the id of the owner. A ConfigMap without an id was edited: it does not say that the environment has no owner."""
    found = _text(answer, "data", "id")
    if isinstance(answer, Found) and isinstance(found, Absent):
        fix = f"write the owner's id into it, or delete it: `modelstack up` by the owner writes {OWNER_CONFIG_MAP} again"
        return Unknown(where=where, reason="the ConfigMap has no id under data.id", fix=fix)
    return found


def _text(answer: Answer[Object], *keys: str) -> Answer[str]:
    if not isinstance(answer, Found):
        return answer
    text = text_at(answer.value, *keys)
    return Found(text) if text else Absent()


def described(owner: Object) -> str:
    """Returns what the ConfigMap of an owner says for people; empty if it says nothing."""
    backend, project, stack = (text_at(owner, "data", key) for key in ("backend", "project", "stack"))
    return f"stack {stack} of project {project} in {backend}" if backend else ""


def environments(cluster: ClusterSettings) -> Answer[Mapping[str, str]]:
    """Returns the environments in a cluster that have an owner: the owner as people read it, by the name of its stack."""
    found = client(cluster)
    if not isinstance(found, Found):
        return found
    api = found.value
    try:
        owners = api.items("/api/v1/configmaps", {"fieldSelector": f"metadata.name={OWNER_CONFIG_MAP}"})
    except UserError as error:
        return Unknown.from_error(error)
    finally:
        api.close()
    return Found({text_at(owner, "data", "stack"): described(owner) for owner in owners})
