"""Names that several packages have to agree on: one package creates an object, another one finds it by its name."""

from __future__ import annotations

from typing import Final

PROJECT: Final = "modelstack"
"""The Pulumi project. Its name and a colon stand before each of its keys in a stack file."""
CRON_JOB_LIMIT: Final = 52
"""The most characters that Kubernetes allows in the name of a CronJob: it appends eleven characters to name the Jobs."""


SERVING: Final = "serving"
"""The namespace of the endpoints, without the prefix of the environment."""
TRACKING: Final = "tracking"
"""The namespace of the tracking server, without the prefix of the environment."""
OWNER_ID: Final = "owner-id"
"""The resource in a stack's state whose `result` is the id of the environment's owner."""
OWNER_COPY: Final = "owner-copy"
"""The resource in a stack's state that is the copy of that id in the cluster."""


def namespace(prefix: str, name: str) -> str:
    """Returns the name of a namespace. The prefix distinguishes environments that share a cluster."""
    return f"{prefix}{name}"


def cron_job(workload: str) -> str:
    """Returns the name of the CronJob that is the template of a workload's training Jobs."""
    return f"{workload}-training"


def serving_repository(registry: str, workload: str) -> str:
    """Returns the name of the container repository of a workload's release images, without tag or digest."""
    return f"{registry}/{workload}-serving"


def serving_image(registry: str, workload: str, digest: str) -> str:
    """Returns the reference of a release image by its digest."""
    return f"{serving_repository(registry, workload)}@{digest}"
