"""The provider's own configuration: which cluster, which modes; and what a change of it means for the resources."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from local.plugins.kubernetes import access
from local.plugins.kubernetes.manifests.immutable import Mutable
from local.plugins.protocol.messages import Difference, Kind
from local.plugins.protocol.values import UNKNOWN, has_unknown, reveal

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object, Value

_CLUSTER: Final = ("kubeconfig", "context", "cluster")
_UNSUPPORTED: Final = {"renderYamlToDirectory": "writing manifests instead of applying them"}
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
    """What the resource `pulumi:providers:kubernetes` was given."""

    kubeconfig: Value = field(default=None, repr=False)
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    server_side: bool = True
    upsert: bool = False
    """Creating what exists changes it, instead of failing."""
    delete_unreachable: bool = False
    """What cannot be reached counts as deleted."""
    mutable: Mutable = field(default_factory=Mutable)

    @classmethod
    def of(cls, inputs: Object) -> Settings:
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
        """The access to the cluster.

        Raises:
            UserError: the kubeconfig cannot be used.
        """
        return access.connect(access.load(self.kubeconfig), self.context, self.cluster, self.namespace)


def _kubeconfig(value: Value) -> Value:
    """The SDK hands a mapping over as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _flag(inputs: Object, key: str, *, default: bool = False) -> bool:
    """The configuration's value, else the environment variable's. The SDK hands booleans over as text."""
    value = inputs.get(key)
    if value is None:
        value = os.environ.get(_VARIABLES[key])
    return default if value in {None, ""} else str(value).lower() == "true"


def check(inputs: Object) -> list[tuple[str, str]]:
    """Why this configuration cannot work here: property and reason."""
    return [
        (key, f"{key} ({what}) is done by the official plugin only")
        for key, what in _UNSUPPORTED.items()
        if inputs.get(key) not in {None, ""}
    ]


def difference(old: Object, new: Object) -> Difference:
    """Another cluster replaces the provider, and with it all its resources.

    Which cluster it is, a kubeconfig does not really tell: two that differ in server or certificate authority are taken to be
    two clusters. `clusterIdentifier` says it plainly, and then decides alone.
    """
    old, new = reveal(old), reveal(new)
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    identifiers = old.get("clusterIdentifier"), new.get("clusterIdentifier")
    replacing: set[str] = set()
    if identifiers[0] and identifiers[1]:
        replacing = {"clusterIdentifier"} if identifiers[0] != identifiers[1] else set()
    elif any(has_unknown(new.get(key)) for key in _CLUSTER) or _active(old) != _active(new):
        replacing = {key for key in _CLUSTER if key in keys}
    paths: dict[str, Kind] = {}
    for key in keys:
        kind = Kind.ADD if old.get(key) is None else Kind.DELETE if new.get(key) is None else Kind.UPDATE
        paths[key] = Kind(kind.value + 1) if key in replacing else kind
    return Difference(paths)


def _active(inputs: Object) -> Object | None:
    """The cluster entry that the configuration points to; None when it points to none that can be told."""
    if inputs.get("kubeconfig") in {None, "", UNKNOWN}:
        return None
    try:
        config = access.load(_kubeconfig(inputs["kubeconfig"]))
        return access.cluster(config, str(inputs.get("context") or ""), str(inputs.get("cluster") or ""))
    except UserError:
        return None
