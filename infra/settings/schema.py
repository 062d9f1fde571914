"""The JSON Schema of stack files, for editors. It is generated from the types of the settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from common.naming import PROJECT
from infra.settings.model import Settings

PATH: Final = Path(__file__).resolve().parents[1] / "stack.schema.json"
"""The committed schema. The first line of each stack file refers to it."""


def stack_schema() -> dict[str, Any]:  # Any: JSON Schema is as deep as the settings it describes
    """Returns the schema of a whole stack file. It describes the keys of this project and allows all keys of the engine."""
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
    """Returns the schema in the format of the committed file."""
    return json.dumps(stack_schema(), indent=2) + "\n"


def write(path: Path = PATH) -> Path:
    """Writes the schema to the file that the stack files refer to, and returns the path."""
    path.write_text(text(), encoding="utf-8")
    return path
