"""Fields that cannot be changed in place: a change replaces the object. The rules are those of the official provider.

A rule is a path, in which `*` stands for any index of a list. A change matches a rule if it is at the path, below it, or above
it and contains the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.manifests import objects

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object, Value

Rule = tuple[str, ...]
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutable:
    """The kinds whose data the provider's configuration allows to change in place.

    By default, the objects are replaced, because a pod that uses the data may not notice a change in place.
    """

    config_maps: bool = False
    secrets: bool = False


def _rules(*paths: str) -> tuple[Rule, ...]:
    return tuple(tuple(path.split(".")) for path in paths)


_ALWAYS: Final = _rules("metadata.name", "metadata.namespace")
_SELECTOR: Final = _rules("spec.selector")
_CONTAINER: Final = (
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
)
_POD: Final = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
)
_VOLUME: Final = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)
_STATEFUL_SET: Final = _rules(
    "spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"
)

_KINDS: Final[dict[tuple[str, str], tuple[Rule, ...]]] = {
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "StatefulSet"): _STATEFUL_SET,
    ("batch", "Job"): _rules("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _rules("roleRef"),
    ("rbac.authorization.k8s.io", "RoleBinding"): _rules("roleRef"),
    ("storage.k8s.io", "StorageClass"): _rules("parameters", "provisioner"),
    ("", "PersistentVolume"): _rules(*(f"spec.{field}" for field in _VOLUME)),
    ("", "PersistentVolumeClaim"): _rules("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"),
    ("", "Pod"): _rules(
        *(f"spec.{field}" for field in _POD),
        *(f"spec.{containers}.*.{field}" for containers in ("containers", "initContainers") for field in _CONTAINER),
    ),
    ("", "ResourceQuota"): _rules("spec.scopes"),
    ("", "Service"): _rules("spec.clusterIP"),
}
_SECRET: Final = _rules("type", "stringData", "data")
_CONFIG_MAP: Final = _rules("binaryData", "data")


def rules(obj: Object, mutable: Mutable) -> tuple[Rule, ...]:
    """Returns the rules for an object.

    An empty `obj` stands for a `...Patch` resource, which may change all fields of its object except name and namespace.
    """
    by_kind = _KINDS.get((objects.group(obj), objects.kind(obj)), ())
    if objects.is_kind(obj, "", "Secret"):
        by_kind = _SECRET if not mutable.secrets or obj.get("immutable") is True else _rules("type")
    if objects.is_kind(obj, "", "ConfigMap"):
        by_kind = _CONFIG_MAP if not mutable.config_maps or obj.get("immutable") is True else ()
    return (*_ALWAYS, *by_kind)


def forces_replacement(path: Path, value: Value, forced: tuple[Rule, ...]) -> bool:
    """Returns whether a change of the field at `path` changes an immutable field. `value` is None if the field is removed."""
    return any(_matches(path, value, rule) for rule in forced)


def _matches(path: Path, value: Value, rule: Rule) -> bool:
    for step, expected in zip(path, rule, strict=False):
        if expected != step and not (expected == "*" and isinstance(step, int)):
            return False
    return len(path) >= len(rule) or _contains(value, rule[len(path) :])


def _contains(value: Value, rest: Rule) -> bool:
    if not rest:
        return True
    if isinstance(value, list):
        return rest[0] == "*" and any(_contains(item, rest[1:]) for item in cast("list[Value]", value))
    return isinstance(value, dict) and rest[0] in value and _contains(cast("Object", value)[rest[0]], rest[1:])
