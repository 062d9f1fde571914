"""What a release is to an endpoint that serves it. Also the names of variants, and the keys of a stack file's releases."""

from __future__ import annotations

from typing import Final

STABLE: Final = "stable"
"""Answers all requests that the canary does not."""
CANARY: Final = "canary"
"""Answers part of the requests."""
SHADOW: Final = "shadow"
"""Gets a copy of every request; its answers are dropped."""
