"""Typed parts of pod specs that all components share. They meet the `restricted` Pod Security standard."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from pulumi import Output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pulumi import Input
    from pulumi_kubernetes.core.v1 import (
        EnvVarArgsDict,
        PodSecurityContextArgsDict,
        ProbeArgsDict,
        ResourceRequirementsArgsDict,
        SecurityContextArgsDict,
        VolumeArgsDict,
    )

UID: Final = 10001
"""The user id of our images' processes. Their group is 0, so a process with another user id can write to the image's
group-writable files as well."""

POD_SECURITY: Final[PodSecurityContextArgsDict] = {
    "run_as_non_root": True,
    "run_as_user": UID,
    "run_as_group": 0,
    "fs_group": 0,
    "fs_group_change_policy": "OnRootMismatch",  # a recursive change on every start would open PostgreSQL's data to its group
    "seccomp_profile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Final[SecurityContextArgsDict] = {
    "allow_privilege_escalation": False,
    "capabilities": {"drop": ["ALL"]},
    "read_only_root_filesystem": True,
}
CONTAINER_SECURITY_ALONE: Final[SecurityContextArgsDict] = {
    **CONTAINER_SECURITY,
    "run_as_non_root": True,
    "run_as_user": UID,
    "run_as_group": 0,
    "seccomp_profile": {"type": "RuntimeDefault"},
}
"""Meets the standard without `POD_SECURITY`. For pods that an operator creates, because an operator may drop the pod's own
security context."""


def fingerprint(values: Mapping[str, Input[str]]) -> Output[str]:
    """Returns a short hash of a Secret's data for the annotations of the pods that use it.

    A changed Secret changes the annotation, which restarts the pods; Kubernetes alone would not restart them. The hash is not
    a secret: the passwords are random and too long to be guessed from it.
    """
    return Output.unsecret(Output.json_dumps(values, sort_keys=True).apply(_hash))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def resources(*, cpu: str, memory: str, cpu_limit: str | None = None) -> ResourceRequirementsArgsDict:
    """Returns requests and limits. The memory request equals the limit. CPU is unlimited unless `cpu_limit` is set."""
    limits = {"memory": memory} if cpu_limit is None else {"memory": memory, "cpu": cpu_limit}
    # On a full disk, Kubernetes first evicts pods that use more than their request. Without a request, a few kilobytes would
    # be enough to evict the database.
    return {"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": "64Mi"}, "limits": limits}


def scratch(name: str, size: str) -> VolumeArgsDict:
    """Returns a writable volume that is deleted with the pod."""
    return {"name": name, "empty_dir": {"size_limit": size}}


def claim(name: str, claim_name: Input[str]) -> VolumeArgsDict:
    """Returns a volume of a volume claim, which outlives the pod."""
    return {"name": name, "persistent_volume_claim": {"claim_name": claim_name}}


def http_probe(path: str, port: str, *, period: int, failures: int) -> ProbeArgsDict:
    """Returns a probe that sends an HTTP request every `period` seconds and fails after `failures` consecutive failures."""
    return {
        "http_get": {"path": path, "port": port},
        "period_seconds": period,
        "failure_threshold": failures,
        "timeout_seconds": 5,
    }


def exec_probe(command: Sequence[str], *, period: int, failures: int) -> ProbeArgsDict:
    """Returns a probe that runs a command every `period` seconds and fails after `failures` consecutive failures."""
    return {"exec_": {"command": [*command]}, "period_seconds": period, "failure_threshold": failures, "timeout_seconds": 5}


def env_vars(values: Mapping[str, Input[str]]) -> list[EnvVarArgsDict]:
    """Returns the environment variables of a container, in the given order."""
    return [{"name": name, "value": value} for name, value in values.items()]
