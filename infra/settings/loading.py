"""Reads the settings of one environment and checks them as a whole before anything is declared.

`load` is for whoever has the stack file (no engine, no `pulumi` imported), `from_config` for the Pulumi program. Both go
through `parse`, and nothing else reads settings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from pydantic import ValidationError

from common.errors import UserError
from common.naming import PROJECT
from infra.settings import consistency
from infra.settings.model import Settings
from infra.settings.problems import problems_of, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PREFIX: Final = f"{PROJECT}:"


def parse(raw: Mapping[str, object], source: str) -> Settings:
    """Checks the objects of a stack, keyed by concern.

    Args:
        raw: the concerns by name, without the project's prefix.
        source: where they come from, for messages.

    Raises:
        UserError: names every problem there is, not just the first.
    """
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise refusal(source, problems_of(error, Settings.model_json_schema())) from None
    if conflicts := consistency.conflicts(settings):
        raise refusal(source, conflicts)
    return settings


def load(stack_file: Path) -> Settings:
    """The settings in a stack file, checked without the engine.

    Raises:
        UserError: there is no such file, it is no YAML, or its settings have problems.
    """
    where = str(stack_file)
    try:
        text = stack_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("There is no such stack file.", where=where, fix="name a stack that has one") from None
    except UnicodeDecodeError as error:
        raise _no_yaml(where, error) from None
    return parse_text(text, stack_file.name, where)


def parse_text(text: str, source: str, where: str = "") -> Settings:
    """The settings in a stack file's text; `where` is its place for messages, if that is more than its name.

    Raises:
        UserError: it is no YAML, or its settings have problems.
    """
    config = _config_of(text, where or source)
    return parse({key.removeprefix(_PREFIX): value for key, value in config.items() if key.startswith(_PREFIX)}, source)


def from_config() -> Settings:
    """The settings of the stack that the engine runs the program for.

    Raises:
        UserError: the settings have problems.
    """
    import pulumi  # noqa: PLC0415 the command checks stack files without the half second this import takes
    from pulumi.runtime import config as engine  # noqa: PLC0415 `pulumi.Config` cannot list keys, and an unknown one matters

    config = pulumi.Config()
    names = {key.removeprefix(_PREFIX) for key in (*engine.get_config_env(), *engine.CONFIG.get()) if key.startswith(_PREFIX)}
    return parse({name: _plain(config.require(name)) for name in sorted(names)}, f"Pulumi.{pulumi.get_stack()}.yaml")


def _no_yaml(where: str, error: Exception) -> UserError:
    found = str(error).partition("\n\n")[0]  # the rest is ruamel's advice to programmers
    return UserError("The stack file is no YAML.", where=where, found=found, fix="mend the line it names")


def _plain(text: str) -> object:
    """The engine hands objects over as JSON and strings as they are."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _config_of(text: str, where: str) -> Mapping[str, object]:
    from ruamel.yaml import YAML, YAMLError  # noqa: PLC0415 the program has no file to read, and a tenth of a second to spare

    try:
        document = cast("object", YAML(typ="safe").load(text))  # pyright: ignore[reportUnknownMemberType] ruamel types it loosely
    except YAMLError as error:
        raise _no_yaml(where, error) from None
    config = cast("Mapping[str, object]", document).get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise UserError("The stack file sets nothing.", where=where, example="config: {modelstack:cluster: ..., ...}")
    return cast("Mapping[str, object]", config)
