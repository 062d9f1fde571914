"""Reads the settings of one environment and validates all of them before any resource is declared.

`load` reads a stack file without the engine and without importing `pulumi`. `from_config` reads the configuration inside the
Pulumi program. Both call `parse`, and no other code reads settings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from pydantic import ValidationError

from common.errors import UserError
from common.naming import PROJECT
from infra.sections.problems import problems_of, refusal
from infra.settings import consistency, tour
from infra.settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PREFIX: Final = f"{PROJECT}:"


def parse(raw: Mapping[str, object], source: str) -> Settings:
    """Validates the configuration of a stack.

    Args:
        raw: the concerns by name, without the project's prefix.
        source: the name of the file that the concerns come from, for error messages.

    Raises:
        UserError: the settings have problems. The error lists all of them, not only the first.
    """
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise refusal(source, problems_of(error, Settings.model_json_schema())) from None
    if conflicts := consistency.conflicts(settings):
        raise refusal(source, conflicts)
    return settings


def load(stack_file: Path) -> Settings:
    """Returns the settings in a stack file, validated without the engine.

    Raises:
        UserError: the file does not exist, is not valid YAML, or its settings have problems.
    """
    where = str(stack_file)
    try:
        text = stack_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        fix = tour.fix_for_missing(stack_file.name, "choose a stack that has a stack file")
        raise UserError("There is no such stack file.", where=where, fix=fix) from None
    except UnicodeDecodeError as error:
        raise _invalid_yaml(where, error) from None
    return parse_text(text, stack_file.name, where)


def parse_text(text: str, source: str, where: str = "") -> Settings:
    """Returns the settings in the text of a stack file.

    Args:
        text: the content of the file.
        source: the name of the file, for error messages.
        where: the path of the file, for error messages about its format; `source` if empty.

    Raises:
        UserError: the text is not valid YAML, or its settings have problems.
    """
    config = _config_in(text, where or source)
    return parse({key.removeprefix(_PREFIX): value for key, value in config.items() if key.startswith(_PREFIX)}, source)


def from_config() -> Settings:
    """Returns the settings of the stack that the engine runs the program for.

    Raises:
        UserError: the settings have problems.
    """
    import pulumi  # noqa: PLC0415 takes half a second, and the command validates stack files without it
    from pulumi.runtime import config as engine  # noqa: PLC0415 `pulumi.Config` cannot list keys; unknown ones are errors

    config = pulumi.Config()
    names = {key.removeprefix(_PREFIX) for key in (*engine.get_config_env(), *engine.CONFIG.get()) if key.startswith(_PREFIX)}
    return parse({name: _decoded(config.require(name)) for name in sorted(names)}, f"Pulumi.{pulumi.get_stack()}.yaml")


def _invalid_yaml(where: str, error: Exception) -> UserError:
    found = str(error).partition("\n\n")[0]  # the rest is ruamel's advice to programmers
    return UserError("The stack file is not valid YAML.", where=where, found=found, fix="fix the line that the error names")


def _decoded(text: str) -> object:
    """Decodes a configuration value. The engine passes an object as JSON, and a string as it is."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _config_in(text: str, where: str) -> Mapping[str, object]:
    from ruamel.yaml import YAML, YAMLError  # noqa: PLC0415 takes a tenth of a second, and the Pulumi program reads no file

    try:
        document = cast("object", YAML(typ="safe").load(text))  # pyright: ignore[reportUnknownMemberType] ruamel types it loosely
    except YAMLError as error:
        raise _invalid_yaml(where, error) from None
    config = cast("Mapping[str, object]", document).get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise UserError("The stack file contains no settings.", where=where, example="config: {modelstack:cluster: ..., ...}")
    return cast("Mapping[str, object]", config)
