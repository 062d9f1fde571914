"""Axes of charts: map values to positions, and choose round tick values. Every position is a finite number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Scale = Callable[[float], float]
_TOLERANCE = 1e-9
"""Allowance for rounding errors: 0.6 / 0.2 is slightly less than 3."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis: the position of each value on it, and the values that have a label."""

    position: Scale
    ticks: tuple[float, ...]


def linear(values: Iterable[float], start: float, end: float, *, zero: bool = True, ticks: int = 5) -> Axis:
    """Returns an axis with even steps that includes all values.

    Args:
        values: the values to show.
        start: position of the low end of the axis.
        end: position of the high end.
        zero: whether the axis includes zero; the lengths of bars are comparable only if it does.
        ticks: approximate number of labelled values.
    """
    low, high = _span([*values, 0.0] if zero else values)
    step = _round_step((high - low) / ticks)
    first, last = math.floor(low / step + _TOLERANCE), math.ceil(high / step - _TOLERANCE)
    shown = tuple(step * number for number in range(first, last + 1))
    return Axis(position=_between(shown[0], shown[-1], start, end), ticks=shown)


def logarithmic(values: Sequence[float], start: float, end: float, *, max_ticks: int = 6) -> Axis | None:
    """Returns a logarithmic axis with at most `max_ticks` ticks; None if a value is not above zero, or there are no values."""
    if not values or min(values) <= 0:
        return None
    low, high = _span(math.log10(value) for value in values)
    position = _between(low, high, start, end)
    decades = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        shown = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(shown) <= max_ticks:
            break
    every = math.ceil(len(shown) / max_ticks) or 1
    return Axis(position=lambda value: position(math.log10(value)), ticks=tuple(shown[::every]))


def bands(count: int, start: float, end: float) -> Scale:
    """Returns the scale that maps the number of a band to its centre. All `count` bands have the same width."""
    width = (end - start) / max(count, 1)
    return lambda number: start + width * (number + 0.5)


def _span(values: Iterable[float]) -> tuple[float, float]:
    """Returns the lowest and the highest value, with a distance between them even for one value or none."""
    present = list(values) or [0.0, 1.0]
    low, high = min(present), max(present)
    # Values that differ only in the last digits of a large number look the same in a chart.
    distinct = max(abs(low), abs(high), 1e-9) * 1e-6
    return (low, high) if high - low > distinct else (low - max(abs(low), 1e-9) / 2, high + max(abs(high), 1e-9) / 2)


def _round_step(step: float) -> float:
    """Returns the smallest number of the series 1, 2, 5, 10, 20, ... that is not less than the step."""
    decade = 10.0 ** math.floor(math.log10(step))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= step * (1 - _TOLERANCE))


def _between(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: round(start + (end - start) * (value - low) / (high - low), 2)
