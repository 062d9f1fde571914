"""Labels and annotations of Kubernetes objects by which one part of the project finds what another one has made."""

from __future__ import annotations

from typing import Final

_DOMAIN: Final = "modelstack.dev"

WORKLOAD_LABEL: Final = f"{_DOMAIN}/workload"
ROLE_LABEL: Final = f"{_DOMAIN}/role"
"""See `common.roles`; a router has a role of its own."""
VERSION_LABEL: Final = f"{_DOMAIN}/version"
"""Of the registered model."""
BACKTESTED_LABEL: Final = f"{_DOMAIN}/backtested-version"
"""Of a Job: the registered version that is back-tested. Training runs have none."""
RUN_ANNOTATION: Final = f"{_DOMAIN}/run"
"""The MLflow run that a served model comes from."""
SECRET_ANNOTATION: Final = f"{_DOMAIN}/secret"
"""A fingerprint of the secrets that a pod reads, so that the pod is replaced when they change."""
