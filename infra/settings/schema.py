"""The JSON Schema that editors check stack files with, generated from the settings' types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from common.naming import PROJECT
from infra.settings.model import Settings

PATH: Final = Path(__file__).resolve().parents[1] / "stack.schema.json"
"""Named in the first line of each stack file."""


def stack_schema() -> dict[str, Any]:  # Any: JSON Schema is as deep as the settings it describes
    """The schema of a whole stack file: our concerns typed, the engine's own keys let through."""
    settings = Settings.model_json_schema()
    concerns = {f"{PROJECT}:{name}": concern for name, concern in settings["properties"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack file of modelstack",
        "type": "object",
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "required": [f"{PROJECT}:{name}" for name in settings["required"]],
                "properties": concerns,
                "patternProperties": {f"^(?!{PROJECT}:)": True},
                "additionalProperties": False,
            }
        },
        "$defs": settings["$defs"],
    }


def text() -> str:
    """The schema as the committed file has it."""
    return json.dumps(stack_schema(), indent=2) + "\n"


def write(path: Path = PATH) -> Path:
    """Writes the schema to where the stack files look for it."""
    path.write_text(text(), encoding="utf-8")
    return path
