"""What all our pods have in common: the `restricted` Pod Security standard, and typed snippets of their specs."""

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
"""The user our images run as. Their group is 0, so that what an image makes group-writable stays writable for any user id."""

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
"""Meets the standard without `POD_SECURITY` too, for pods that somebody else makes and whose own context may get lost."""


def fingerprint(values: Mapping[str, Input[str]]) -> Output[str]:
    """A short hash of a Secret's data, for its pods' annotations: Kubernetes does not restart pods whose Secret changed.

    No secret itself: the passwords are random and far too long to be guessed from it.
    """
    return Output.unsecret(Output.json_dumps(values, sort_keys=True).apply(_hash))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def resources(*, cpu: str, memory: str, cpu_limit: str | None = None) -> ResourceRequirementsArgsDict:
    """Requests and limits. Memory is promised in full; processor time may be borrowed unless `cpu_limit` says how much."""
    limits = {"memory": memory} if cpu_limit is None else {"memory": memory, "cpu": cpu_limit}
    # On a full disk, pods that use more than they asked for go first: not the database for its few kilobytes.
    return {"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": "64Mi"}, "limits": limits}


def scratch(name: str, size: str) -> VolumeArgsDict:
    """A writable folder that ends with the pod."""
    return {"name": name, "empty_dir": {"size_limit": size}}


def claim(name: str, claim_name: Input[str]) -> VolumeArgsDict:
    """A volume that outlives the pod."""
    return {"name": name, "persistent_volume_claim": {"claim_name": claim_name}}


def http_probe(path: str, port: str, *, period: int, failures: int) -> ProbeArgsDict:
    """Asks over HTTP every `period` seconds; gives up after `failures` in a row."""
    return {
        "http_get": {"path": path, "port": port},
        "period_seconds": period,
        "failure_threshold": failures,
        "timeout_seconds": 5,
    }


def exec_probe(command: Sequence[str], *, period: int, failures: int) -> ProbeArgsDict:
    """Runs a command in the container every `period` seconds; gives up after `failures` in a row."""
    return {"exec_": {"command": [*command]}, "period_seconds": period, "failure_threshold": failures, "timeout_seconds": 5}


def environment(values: Mapping[str, Input[str]]) -> list[EnvVarArgsDict]:
    """Environment variables, in the order given."""
    return [{"name": name, "value": value} for name, value in values.items()]
