"""The provider's configuration: the cluster and the modes, and the effect of a change of the configuration."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from clients import kubeconfig as access
from common.errors import UserError
from local.plugins.kubernetes.manifests.immutable import Mutable
from local.plugins.protocol.messages import Difference, Kind
from local.plugins.protocol.values import UNKNOWN, has_unknown, reveal

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object, Value

_CLUSTER: Final = ("kubeconfig", "context", "cluster")
_UNSUPPORTED: Final = {"renderYamlToDirectory": "writes manifests instead of applying them"}
_VARIABLES: Final = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}


@dataclass(frozen=True)
class Settings:
    """The inputs of the resource `pulumi:providers:kubernetes`."""

    kubeconfig: Value = field(default=None, repr=False)
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    server_side: bool = True
    upsert: bool = False
    """Creating an object that exists changes the object instead of failing."""
    delete_unreachable: bool = False
    """Objects of a cluster that cannot be reached count as deleted."""
    mutable: Mutable = field(default_factory=Mutable)

    @classmethod
    def from_inputs(cls, inputs: Object) -> Settings:
        plain: Object = reveal(inputs)
        return cls(
            kubeconfig=_kubeconfig(plain.get("kubeconfig")),
            context=str(plain.get("context") or ""),
            cluster=str(plain.get("cluster") or ""),
            namespace=str(plain.get("namespace") or ""),
            server_side=_flag(plain, "enableServerSideApply", default=True),
            upsert=_flag(plain, "upsertExistingObjects"),
            delete_unreachable=_flag(plain, "deleteUnreachable"),
            mutable=Mutable(config_maps=_flag(plain, "enableConfigMapMutable"), secrets=_flag(plain, "enableSecretMutable")),
        )

    def connect(self) -> access.Access:
        """Returns the access to the cluster.

        Raises:
            UserError: the kubeconfig cannot be used.
        """
        return access.connect(access.load(self.kubeconfig), self.context, self.cluster, self.namespace)


def _kubeconfig(value: Value) -> Value:
    """Returns the kubeconfig as a mapping if it is JSON text, because the SDK passes mappings as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _flag(inputs: Object, key: str, *, default: bool = False) -> bool:
    """Returns the configuration's value, otherwise the environment variable's. The SDK passes booleans as text."""
    value = inputs.get(key)
    if value is None:
        value = os.environ.get(_VARIABLES[key])
    return default if value in {None, ""} else str(value).lower() == "true"


def check(inputs: Object) -> list[tuple[str, str]]:
    """Returns property and reason for each input that this plugin does not support."""
    return [
        (key, f"only the official kubernetes plugin supports {key}, which {effect}")
        for key, effect in _UNSUPPORTED.items()
        if inputs.get(key) not in {None, ""}
    ]


def difference(old: Object, new: Object) -> Difference:
    """Compares two configurations. A different cluster replaces the provider, and with the provider all its resources.

    A kubeconfig does not identify a cluster reliably. Two kubeconfigs whose cluster entries differ (server, certificate
    authority) count as two clusters. If both configurations have a `clusterIdentifier`, only the identifiers are compared.
    """
    old, new = reveal(old), reveal(new)
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    identifiers = old.get("clusterIdentifier"), new.get("clusterIdentifier")
    replacing: set[str] = set()
    if identifiers[0] and identifiers[1]:
        replacing = {"clusterIdentifier"} if identifiers[0] != identifiers[1] else set()
    elif any(has_unknown(new.get(key)) for key in _CLUSTER) or _cluster_entry(old) != _cluster_entry(new):
        replacing = {key for key in _CLUSTER if key in keys}
    paths: dict[str, Kind] = {}
    for key in keys:
        kind = Kind.ADD if old.get(key) is None else Kind.DELETE if new.get(key) is None else Kind.UPDATE
        paths[key] = Kind(kind.value + 1) if key in replacing else kind
    return Difference(paths)


def _cluster_entry(inputs: Object) -> Object | None:
    """Returns the cluster entry that the configuration selects, or None if it cannot be determined."""
    if inputs.get("kubeconfig") in {None, "", UNKNOWN}:
        return None
    try:
        config = access.load(_kubeconfig(inputs["kubeconfig"]))
        return access.cluster(config, str(inputs.get("context") or ""), str(inputs.get("cluster") or ""))
    except UserError:
        return None
