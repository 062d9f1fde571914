"""Reads `tiers.toml`. The Pulumi program and the commands resolve their stack here, once, where they begin."""

from __future__ import annotations

import tomllib
from pathlib import Path

from common.errors import UserError
from infra.tiers import file
from infra.tiers.model import FILE_NAME, StackTier, Tiers

FILE = Path(__file__).with_name("tiers.toml")


def load() -> Tiers:
    """Returns the tiers.

    Raises:
        UserError: the file is missing, is not valid TOML, or has problems.
    """
    try:
        text = FILE.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("The file with the tiers is missing.", where=FILE_NAME, fix=f"git checkout {FILE_NAME}") from None
    except UnicodeDecodeError as error:
        raise UserError("The file with the tiers is not UTF-8.", where=FILE_NAME, found=error, fix="save it as UTF-8") from None
    except OSError as error:
        raise UserError("The file with the tiers cannot be read.", where=FILE_NAME, found=error.strerror) from None
    return parse_text(text)


def parse_text(text: str) -> Tiers:
    """Returns the tiers in the text of a `tiers.toml`.

    Raises:
        UserError: the text is not valid TOML, or has problems.
    """
    if text.startswith("\ufeff"):
        what = "The file with the tiers begins with a byte order mark, which is not valid TOML."
        raise UserError(what, where=FILE_NAME, fix="save it as UTF-8 without a byte order mark (BOM)")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fix = "fix the line that the error names"
        raise UserError("The file with the tiers is not valid TOML.", where=FILE_NAME, found=error, fix=fix) from None
    return file.parse(raw)


def resolve(stack: str) -> StackTier:
    """Returns a stack with its tier and its source.

    Raises:
        UserError: no tier lists the stack, or one of the errors of `load`.
    """
    return load().of(stack)
