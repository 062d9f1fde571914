"""What all declarations have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Declared(BaseModel):
    """Frozen, and without room for a misspelt key."""

    model_config = ConfigDict(frozen=True, extra="forbid")
