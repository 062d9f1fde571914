"""Names that one part of the project gives and another one finds things by."""

from __future__ import annotations

from typing import Final

PROJECT: Final = "modelstack"
"""The Pulumi project. Its name and a colon stand before each of its keys in a stack file."""
LABEL_LIMIT: Final = 63
"""Characters in a Kubernetes label, and in the name of a Service or a pod's host."""
CRON_JOB_LIMIT: Final = 52
"""Characters in a CronJob's name: Kubernetes adds eleven to name its Jobs."""


SERVING: Final = "serving"
"""The namespace of endpoints."""


def namespace(prefix: str, name: str) -> str:
    """A namespace of an environment; the prefix tells it from that of another one in the same cluster."""
    return f"{prefix}{name}"


def cron_job(workload: str) -> str:
    """The CronJob that a workload's training runs are made from."""
    return f"{workload}-training"


def serving_repository(registry: str, workload: str) -> str:
    """Where a workload's release images lie, without tag or digest."""
    return f"{registry}/{workload}-serving"


def serving_image(registry: str, workload: str, digest: str) -> str:
    """One release image, by digest."""
    return f"{serving_repository(registry, workload)}@{digest}"
