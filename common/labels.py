"""Labels and annotations of Kubernetes objects. One package sets them, and another package selects objects by them."""

from __future__ import annotations

from typing import Final

WORKLOAD_LABEL: Final = "modelstack.dev/workload"
ROLE_LABEL: Final = "modelstack.dev/role"
"""The role of a variant (see `common.roles`), or `router`."""
VERSION_LABEL: Final = "modelstack.dev/version"
"""The version of the registered model."""
BACKTESTED_LABEL: Final = "modelstack.dev/backtested-version"
"""A label of Jobs: the registered version that the Job back-tests. The Jobs of trainings do not have this label."""
RUN_ANNOTATION: Final = "modelstack.dev/run"
"""The MLflow run that registered the served model."""
FINGERPRINT_ANNOTATION: Final = "modelstack.dev/secret"
"""A fingerprint of the secrets that a pod reads. If a secret changes, the fingerprint changes, and the pod is replaced."""
MARK_LABEL: Final = "modelstack.dev/cluster"
"""A label of the node of a `kind` cluster: the mark of the stack that has created the cluster."""
