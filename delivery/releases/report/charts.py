"""Charts as inline SVG: pure functions of numbers. Colours are the page's (`page.css`), by class.

A chart is drawn twice, for a wide place and for a narrow one, and the page shows one of them: a picture that is merely scaled
has letters too small to read on a telephone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.releases.report import figures, scales
from delivery.releases.report.markup import Html, element, join

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDE, HALF, NARROW = 1040, 500, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 12.0, 32.0, 44.0
_LETTER = 7.0
"""About the width of a letter."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a chart is, for those who do not see it: `title` names it, `says` tells what can be seen in it."""

    title: str
    says: str
    x: str
    """Of the horizontal axis."""
    y: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line; `kind` is a class of the page. A value of None is a gap."""

    name: str
    kind: str
    values: tuple[float | None, ...]


def responsive(draw: Callable[[int], Html], wide: int = WIDE) -> Html:
    """A chart for both kinds of places."""
    return join(
        element("div", draw(wide), class_="wide-only"),
        element("div", draw(NARROW), class_="narrow-only"),
    )


def legend(lines: Sequence[Line]) -> Html:
    """Which line is which: each has its own dashes as well as its colour."""
    items = [element("li", _sample(line.kind), line.name) for line in lines]
    return element("ul", *items, class_="legend")


def over_periods(lines: Sequence[Line], periods: Sequence[str], text: Text, width: int) -> Html:
    """Lines over periods, the same place for each."""
    height = 300
    known = [value for line in lines for value in line.values if value is not None]
    y = scales.linear(known, height - _BOTTOM, _TOP)
    x = scales.bands(len(periods), _LEFT, width - _RIGHT)
    widest = max((len(_cut(period)) for period in periods), default=1) * _LETTER + 8
    every = max(1, -(-len(periods) * int(widest) // int(width - _LEFT - _RIGHT)))
    labels = [_text(x(n), height - _BOTTOM + 18, _cut(p), "middle") for n, p in enumerate(periods) if n % every == 0]
    drawn = [_line(line.kind, [(x(n), y.place(v)) for n, v in enumerate(line.values) if v is not None]) for line in lines]
    return _picture(text, width, height, _rows(y, width), *labels, *drawn, key=[line.name for line in lines])


def curve(points: Sequence[tuple[float, float]], kind: str, text: Text, width: int, *, marked: float | None = None) -> Html:
    """A curve over numbers. `marked` is an x that a vertical line shows."""
    height = 260
    y = scales.linear([value for _, value in points], height - _BOTTOM, _TOP)
    x = scales.linear([value for value, _ in points], _LEFT, width - _RIGHT, zero=False, ticks=max(3, width // 110))
    places = [(x.place(one), y.place(other)) for one, other in points]
    mark = None
    if marked is not None:
        at = x.place(marked)
        mark = element("line", x1=at, x2=at, y1=_TOP, y2=height - _BOTTOM, class_="mark")
    return _picture(text, width, height, _rows(y, width), *_below(x, height), mark, _line(kind, places))


def against(points: Sequence[tuple[float, float]], kind: str, text: Text, width: int) -> Html:
    """Points of two quantities of one kind, and the line on which both are the same. Logarithmic where that is possible."""
    height = 320
    values = [value for point in points for value in point]
    most = max(2, width // 90)
    x = scales.logarithmic(values, _LEFT, width - _RIGHT, most=most) or scales.linear(values, _LEFT, width - _RIGHT, ticks=most)
    y = scales.logarithmic(values, height - _BOTTOM, _TOP) or scales.linear(values, height - _BOTTOM, _TOP)
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    same = element("line", x1=x.place(low), y1=y.place(low), x2=x.place(high), y2=y.place(high), class_="mark")
    drawn = _line(kind, [(x.place(one), y.place(other)) for one, other in points])
    return _picture(text, width, height, _rows(y, width), *_below(x, height), same, drawn)


def columns(entries: Sequence[tuple[str, float]], level: float, text: Text, width: int) -> Html:
    """A column for each entry, the first one marked, and a line at `level`. The first and the last are named."""
    values = [value for _, value in entries]
    height = 220
    y = scales.linear([*values, level], height - _BOTTOM, _TOP)
    x = scales.bands(len(values), _LEFT, width - _RIGHT)
    thick = max(1.0, (width - _LEFT - _RIGHT) / max(len(values), 1) * 0.72)
    zero = y.place(0.0)
    drawn = [
        element(
            "rect",
            x=round(x(n) - thick / 2, 2),
            y=min(zero, y.place(value)),
            width=round(thick, 2),
            height=round(abs(zero - y.place(value)), 2),
            class_="column worst" if n == 0 else "column",
        )
        for n, value in enumerate(values)
    ]
    at = y.place(level)
    line = element("line", x1=_LEFT, x2=width - _RIGHT, y1=at, y2=at, class_="mark")
    names = [
        _text(at, height - _BOTTOM + 18, _cut(entries[place][0]), anchor)
        for place, at, anchor in ((0, _LEFT, "start"), (-1, width - _RIGHT, "end"))
    ]
    return _picture(text, width, height, _rows(y, width), *drawn, line, *names)


def bar(value: float, longest: float, *, worst: bool) -> Html:
    """A bar for a cell of a table, whose figure stands beside it."""
    share = min(1.0, max(0.0, value / longest)) if longest > 0 else 0.0
    drawn = element("rect", width=round(100 * share, 1), height=10, class_="column worst" if worst else "column")
    return element("svg", drawn, viewBox="0 0 100 10", preserveAspectRatio="none", class_="bar", aria_hidden="true")


def ranges(pairs: Sequence[tuple[str, Sequence[float]]]) -> Html:
    """Where values lie, one above the other on one axis: a line from the 5 % to the 95 % quantile, thick from 25 % to 75 %.

    Args:
        pairs: a class of the page, and the five quantiles.
    """
    axis = scales.linear([value for _, places in pairs for value in places], 4, 116, zero=False)
    drawn: list[Html] = []
    for row, (kind, quantiles) in enumerate(pairs):
        y = 6 + 12 * row
        p05, p25, p50, p75, p95 = (axis.place(value) for value in quantiles)
        drawn.append(element("line", x1=p05, x2=p95, y1=y, y2=y, class_=f"range {kind}"))
        drawn.append(element("line", x1=p25, x2=p75, y1=y, y2=y, class_=f"range thick {kind}"))
        drawn.append(element("circle", cx=p50, cy=y, r=2.5, class_=f"middle {kind}"))
    return element("svg", *drawn, viewBox=f"0 0 120 {12 * len(pairs)}", class_="ranges", aria_hidden="true")


def _picture(text: Text, width: int, height: int, *drawn: Html | None, key: Sequence[str] = ()) -> Html:
    # Both drawings of a chart are on the page, and what names them must have a name of its own.
    mark = hashlib.sha256("|".join((text.title, text.says, str(width), *key)).encode("utf-8", "replace")).hexdigest()[:10]
    axes = (
        _text((_LEFT + width - _RIGHT) / 2, height - 6, text.x, "middle", "axis"),
        _text(0, 14, text.y, "start", "axis"),
    )
    return element(
        "svg",
        element("title", text.title, id=f"t-{mark}"),
        element("desc", text.says, id=f"d-{mark}"),
        *drawn,
        *axes,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"t-{mark} d-{mark}",
        class_="chart",
    )


def _rows(axis: scales.Axis, width: int) -> Html:
    """Lines across the picture, each with its value at the left."""
    drawn: list[Html] = []
    for tick, written in zip(axis.ticks, figures.alike(axis.ticks), strict=True):
        y = axis.place(tick)
        drawn.append(element("line", x1=_LEFT, x2=width - _RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(_text(_LEFT - 8, y + 4, written, "end"))
    return join(*drawn)


def _below(axis: scales.Axis, height: int) -> list[Html]:
    y = height - _BOTTOM + 18
    return [
        _text(axis.place(tick), y, says, "middle") for tick, says in zip(axis.ticks, figures.alike(axis.ticks), strict=True)
    ]


def _line(kind: str, places: Sequence[tuple[float, float]]) -> Html:
    path = " ".join(f"{'L' if n else 'M'}{round(x, 2)} {round(y, 2)}" for n, (x, y) in enumerate(places))
    dots = [element("circle", cx=round(x, 2), cy=round(y, 2), r=3, class_=f"dot {kind}") for x, y in places]
    return join(element("path", d=path, class_=f"line {kind}") if path else None, *dots)


def _sample(kind: str) -> Html:
    return element("svg", _line(kind, [(2, 6), (30, 6)]), viewBox="0 0 32 12", class_="sample", aria_hidden="true")


def _text(x: float, y: float, content: str, anchor: str, kind: str = "tick") -> Html:
    return element("text", content, x=round(x, 2), y=round(y, 2), text_anchor=anchor, class_=kind)


def _cut(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"  # noqa: PLR2004 more would run into its neighbour
