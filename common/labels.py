"""Labels and annotations of Kubernetes objects by which one part of the project finds what another one has made."""

from __future__ import annotations

from typing import Final

WORKLOAD_LABEL: Final = "modelstack.dev/workload"
ROLE_LABEL: Final = "modelstack.dev/role"
"""See `common.roles`; a router has a role of its own."""
VERSION_LABEL: Final = "modelstack.dev/version"
"""Of the registered model."""
BACKTESTED_LABEL: Final = "modelstack.dev/backtested-version"
"""Of a Job: the registered version that is back-tested. Training runs have none."""
RUN_ANNOTATION: Final = "modelstack.dev/run"
"""The MLflow run that a served model comes from."""
FINGERPRINT_ANNOTATION: Final = "modelstack.dev/secret"
"""A fingerprint of the secrets that a pod reads, so that the pod is replaced when they change."""
