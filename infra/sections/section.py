"""The base class of all sections of a stack file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """A section of a stack file. Instances are frozen, unknown keys are errors, and no value is converted to another type."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True, validate_default=True
    )
