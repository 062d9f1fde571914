"""Names of a stack's outputs: `infra.outputs` exports them, the `modelstack` command and other stacks read them."""

from __future__ import annotations

from typing import Final

KUBECONFIG: Final = "kubeconfig"
REGISTRY: Final = "registry"
SERVING_IMAGE: Final = "servingImage"
TRACKING: Final = "tracking"
TRAINING: Final = "training"
ENDPOINTS: Final = "endpoints"
RELEASES: Final = "releases"
"""What is deployed: stacks that releases go to rely on it."""
WORKLOADS: Final = "workloads"
