"""From values to places in a picture, and the round values that axes show. Every place is a finite number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Scale = Callable[[float], float]
_NEARLY = 1e-9
"""0.6 / 0.2 is a little less than 3."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis: where values are on it, and which are written beside it."""

    place: Scale
    ticks: tuple[float, ...]


def linear(values: Iterable[float], start: float, end: float, *, zero: bool = True, ticks: int = 5) -> Axis:
    """An axis with even steps that holds all values.

    Args:
        values: what is to be shown.
        start: place of the axis's low end.
        end: place of its high end.
        zero: whether the axis has to show zero as well: lengths are comparable only if it does.
        ticks: about how many values to write.
    """
    low, high = _span([*values, 0.0] if zero else values)
    step = _round_step((high - low) / ticks)
    first, last = math.floor(low / step + _NEARLY), math.ceil(high / step - _NEARLY)
    shown = tuple(step * number for number in range(first, last + 1))
    return Axis(place=_between(shown[0], shown[-1], start, end), ticks=shown)


def logarithmic(values: Sequence[float], start: float, end: float, *, most: int = 6) -> Axis | None:
    """An axis with even factors and `most` ticks at most; None where a value has no logarithm."""
    if not values or min(values) <= 0:
        return None
    low, high = _span(math.log10(value) for value in values)
    place = _between(low, high, start, end)
    decades = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        shown = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(shown) <= most:
            break
    return Axis(place=lambda value: place(math.log10(value)), ticks=tuple(shown[:: math.ceil(len(shown) / most) or 1]))


def bands(count: int, start: float, end: float) -> Scale:
    """The middles of that many places of one width."""
    width = (end - start) / max(count, 1)
    return lambda number: start + width * (number + 0.5)


def _span(values: Iterable[float]) -> tuple[float, float]:
    """The lowest and the highest, apart even where there is one value or none."""
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    # What differs in the last digits of a large number cannot be told apart in a picture.
    least = max(abs(low), abs(high), 1e-9) * 1e-6
    return (low, high) if high - low > least else (low - max(abs(low), 1e-9) / 2, high + max(abs(high), 1e-9) / 2)


def _round_step(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... from a step on."""
    decade = 10.0 ** math.floor(math.log10(step))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= step * (1 - _NEARLY))


def _between(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: round(start + (end - start) * (value - low) / (high - low), 2)
