"""The names of a stack's outputs. `infra.outputs` exports the outputs; the `modelstack` command and other stacks read them."""

from __future__ import annotations

from typing import Final

KUBECONFIG: Final = "kubeconfig"
REGISTRY: Final = "registry"
SERVING_IMAGE: Final = "servingImage"
TRACKING: Final = "tracking"
TRAINING: Final = "training"
ENDPOINTS: Final = "endpoints"
RELEASES: Final = "releases"
"""The deployed releases. The stacks to which releases are promoted read this output."""
WORKLOADS: Final = "workloads"
OWNER: Final = "owner"
"""The id of the environment's owner: see `infra.ownership`."""
