"""The roles of the variants of an endpoint. They are also the names of variants and keys in the releases of a stack file."""

from __future__ import annotations

from typing import Final

STABLE: Final = "stable"
"""The variant that answers all requests except those of the canary."""
CANARY: Final = "canary"
"""The variant that answers a share of the requests."""
SHADOW: Final = "shadow"
"""The variant that gets a copy of every request. Its answers are dropped."""
