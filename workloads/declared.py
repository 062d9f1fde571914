"""The base class of all declarations."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Declared(BaseModel):
    """A frozen model that refuses unknown keys, for example misspelt ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")
