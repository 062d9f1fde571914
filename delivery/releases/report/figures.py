"""Formats numbers for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUS: Final = "−"  # noqa: RUF001 the minus sign is as wide as the plus sign
_MANY: Final = 1e6


def number(value: float) -> str:
    """Formats any number in a few characters: `12`, `0.406`, `9,120`, `3.20e+09`."""
    size = abs(value)
    if size >= _MANY or 0 < size < 1e-3:  # noqa: PLR2004 smaller numbers would be shown as 0.000
        text = f"{size:.2e}"
    elif size == int(size) or size >= 1000:  # noqa: PLR2004 four digits are enough
        text = f"{size:,.0f}"
    else:
        text = f"{size:.{2 - math.floor(math.log10(size))}f}"
    return (MINUS if value < 0 else "") + text


def tick_labels(values: Sequence[float]) -> list[str]:
    """Formats the round values of an axis, all with the same number of decimal places."""
    largest = max(map(abs, values), default=0.0)
    # The sum of several steps may differ from zero by a rounding error: it is shown as zero.
    exact = [0.0 if abs(value) < largest * 1e-9 else float(f"{value:.6g}") for value in values]
    texts = [f"{abs(value):.6g}" for value in exact]
    if largest >= _MANY or any("e" in text for text in texts):
        return [number(value) for value in exact]
    places = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [_signed(f"{abs(value):,.{places}f}", value < 0) for value in exact]


def error(value: float) -> str:
    """Formats an error with three decimal places, so that the figures of a column align."""
    return number(value) if abs(value) >= 10 else _signed(f"{abs(value):.3f}", value < 0)  # noqa: PLR2004 too large for decimal places


def signed(value: float) -> str:
    """Formats a difference or a bias, always with its sign."""
    return ("+" if value > 0 else "") + error(value)


def percent(share: float) -> str:
    """Formats a share in whole per cent, without a sign."""
    value = 100 * abs(share)
    return f"{value:.0f} %" if value < _MANY else f"{value:.1e} %"


def distinct_errors(first: float, second: float) -> tuple[str, str]:
    """Formats two errors with two to four decimal places: as few as possible, but enough to show a difference."""
    for places in (2, 3, 4):
        texts = tuple(
            _signed(f"{abs(value):.{places}f}", value < 0) if abs(value) < _MANY else number(value) for value in (first, second)
        )
        if texts[0] != texts[1]:
            break
    return texts[0], texts[1]


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun: `1 week`, `12 weeks`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def words(name: str) -> str:
    """Returns the name of a metric, a baseline or a dimension for people: `last_week` becomes `last week`."""
    return name.replace("_", " ")


def short(digest: str) -> str:
    """Returns the first 12 characters of a digest, with its algorithm if it has one."""
    kind, _, rest = digest.rpartition(":")
    return f"{kind}:{rest[:12]}" if kind else rest[:12]


def _signed(text: str, negative: bool) -> str:  # noqa: FBT001 private
    return f"{MINUS}{text}" if negative and text.strip("0.") else text
