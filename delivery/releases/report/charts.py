"""Charts as inline SVG: pure functions of numbers. The style sheet `page.css` sets the colours by class.

Each chart is drawn twice, for wide and for narrow screens, and the page shows one of the two. A single drawing that is scaled
down would have text that is too small to read on a telephone.
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
_CHARACTER = 7.0
"""Approximate width of a character."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """The texts of a chart: `title` and `description` for readers who cannot see it, `x` and `y` as labels of the axes."""

    title: str
    description: str
    x: str
    y: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a chart. `kind` is its class in the style sheet. A value of None is a gap in the line."""

    name: str
    kind: str
    values: tuple[float | None, ...]


def responsive(draw: Callable[[int], Html], wide: int = WIDE) -> Html:
    """Returns two drawings of a chart, for wide and for narrow screens. `draw` takes the width."""
    return join(
        element("div", draw(wide), class_="wide-only"),
        element("div", draw(NARROW), class_="narrow-only"),
    )


def legend(lines: Sequence[Line]) -> Html:
    """Returns the legend of the lines. Each line has its own dashes as well as its own colour."""
    items = [element("li", _sample(line.kind), line.name) for line in lines]
    return element("ul", *items, class_="legend")


def line_chart(lines: Sequence[Line], periods: Sequence[str], text: Text, width: int) -> Html:
    """Draws lines over periods. All periods have the same width."""
    height = 300
    values = [value for line in lines for value in line.values if value is not None]
    y = scales.linear(values, height - _BOTTOM, _TOP)
    x = scales.bands(len(periods), _LEFT, width - _RIGHT)
    widest = max((len(_truncated(period)) for period in periods), default=1) * _CHARACTER + 8
    every = max(1, -(-len(periods) * int(widest) // int(width - _LEFT - _RIGHT)))
    labels = [_text(x(n), height - _BOTTOM + 18, _truncated(p), "middle") for n, p in enumerate(periods) if n % every == 0]
    drawn = [_line(line.kind, [(x(n), y.position(v)) for n, v in enumerate(line.values) if v is not None]) for line in lines]
    return _chart(text, width, height, _y_axis(y, width), *labels, *drawn, key=[line.name for line in lines])


def curve(points: Sequence[tuple[float, float]], kind: str, text: Text, width: int, *, marked: float | None = None) -> Html:
    """Draws a curve. A vertical line marks the x value `marked`."""
    height = 260
    y = scales.linear([value for _, value in points], height - _BOTTOM, _TOP)
    x = scales.linear([value for value, _ in points], _LEFT, width - _RIGHT, zero=False, ticks=max(3, width // 110))
    positions = [(x.position(x_value), y.position(y_value)) for x_value, y_value in points]
    mark = None
    if marked is not None:
        x_mark = x.position(marked)
        mark = element("line", x1=x_mark, x2=x_mark, y1=_TOP, y2=height - _BOTTOM, class_="mark")
    return _chart(text, width, height, _y_axis(y, width), *_x_axis(x, height), mark, _line(kind, positions))


def scatter(points: Sequence[tuple[float, float]], kind: str, text: Text, width: int) -> Html:
    """Draws points of two comparable quantities, and the diagonal on which both are equal.

    The axes are logarithmic if all values are above zero.
    """
    height = 320
    values = [value for point in points for value in point]
    ticks = max(2, width // 90)
    x = scales.logarithmic(values, _LEFT, width - _RIGHT, max_ticks=ticks) or scales.linear(
        values, _LEFT, width - _RIGHT, ticks=ticks
    )
    y = scales.logarithmic(values, height - _BOTTOM, _TOP) or scales.linear(values, height - _BOTTOM, _TOP)
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    diagonal = element("line", x1=x.position(low), y1=y.position(low), x2=x.position(high), y2=y.position(high), class_="mark")
    drawn = _line(kind, [(x.position(x_value), y.position(y_value)) for x_value, y_value in points])
    return _chart(text, width, height, _y_axis(y, width), *_x_axis(x, height), diagonal, drawn)


def column_chart(entries: Sequence[tuple[str, float]], reference: float, text: Text, width: int) -> Html:
    """Draws a column for each entry, and a horizontal line at `reference`.

    The first column has another colour. The first and the last column have labels.
    """
    values = [value for _, value in entries]
    height = 220
    y = scales.linear([*values, reference], height - _BOTTOM, _TOP)
    x = scales.bands(len(values), _LEFT, width - _RIGHT)
    column_width = max(1.0, (width - _LEFT - _RIGHT) / max(len(values), 1) * 0.72)
    zero = y.position(0.0)
    drawn = [
        element(
            "rect",
            x=round(x(n) - column_width / 2, 2),
            y=min(zero, y.position(value)),
            width=round(column_width, 2),
            height=round(abs(zero - y.position(value)), 2),
            class_="column worst" if n == 0 else "column",
        )
        for n, value in enumerate(values)
    ]
    y_reference = y.position(reference)
    line = element("line", x1=_LEFT, x2=width - _RIGHT, y1=y_reference, y2=y_reference, class_="mark")
    labels = [
        _text(x_label, height - _BOTTOM + 18, _truncated(entries[index][0]), anchor)
        for index, x_label, anchor in ((0, _LEFT, "start"), (-1, width - _RIGHT, "end"))
    ]
    return _chart(text, width, height, _y_axis(y, width), *drawn, line, *labels)


def bar(value: float, longest: float, *, worst: bool) -> Html:
    """Draws a bar for a table cell. The figure itself is in the cell beside the bar."""
    share = min(1.0, max(0.0, value / longest)) if longest > 0 else 0.0
    drawn = element("rect", width=round(100 * share, 1), height=10, class_="column worst" if worst else "column")
    return element("svg", drawn, viewBox="0 0 100 10", preserveAspectRatio="none", class_="bar", aria_hidden="true")


def quantile_ranges(distributions: Sequence[tuple[str, Sequence[float]]]) -> Html:
    """Draws distributions one above the other on one axis.

    Each has a thin line from the 5 % to the 95 % quantile, a thick line from 25 % to 75 %, and a dot at the median.

    Args:
        distributions: for each distribution its class in the style sheet, and its quantiles at 5, 25, 50, 75 and 95 %.
    """
    axis = scales.linear([value for _, quantiles in distributions for value in quantiles], 4, 116, zero=False)
    drawn: list[Html] = []
    for row, (kind, quantiles) in enumerate(distributions):
        y = 6 + 12 * row
        p05, p25, p50, p75, p95 = (axis.position(value) for value in quantiles)
        drawn.append(element("line", x1=p05, x2=p95, y1=y, y2=y, class_=f"range {kind}"))
        drawn.append(element("line", x1=p25, x2=p75, y1=y, y2=y, class_=f"range thick {kind}"))
        drawn.append(element("circle", cx=p50, cy=y, r=2.5, class_=f"middle {kind}"))
    return element("svg", *drawn, viewBox=f"0 0 120 {12 * len(distributions)}", class_="ranges", aria_hidden="true")


def _chart(text: Text, width: int, height: int, *drawn: Html | None, key: Sequence[str] = ()) -> Html:
    # The page contains both drawings of a chart, so the ids of the title and the description need the width and the key.
    suffix = hashlib.sha256("|".join((text.title, text.description, str(width), *key)).encode("utf-8", "replace")).hexdigest()[
        :10
    ]
    axes = (
        _text((_LEFT + width - _RIGHT) / 2, height - 6, text.x, "middle", "axis"),
        _text(0, 14, text.y, "start", "axis"),
    )
    return element(
        "svg",
        element("title", text.title, id=f"t-{suffix}"),
        element("desc", text.description, id=f"d-{suffix}"),
        *drawn,
        *axes,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"t-{suffix} d-{suffix}",
        class_="chart",
    )


def _y_axis(axis: scales.Axis, width: int) -> Html:
    """Draws the horizontal grid lines, each with its value at the left."""
    drawn: list[Html] = []
    for tick, label in zip(axis.ticks, figures.tick_labels(axis.ticks), strict=True):
        y = axis.position(tick)
        drawn.append(element("line", x1=_LEFT, x2=width - _RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(_text(_LEFT - 8, y + 4, label, "end"))
    return join(*drawn)


def _x_axis(axis: scales.Axis, height: int) -> list[Html]:
    y = height - _BOTTOM + 18
    labels = figures.tick_labels(axis.ticks)
    return [_text(axis.position(tick), y, label, "middle") for tick, label in zip(axis.ticks, labels, strict=True)]


def _line(kind: str, positions: Sequence[tuple[float, float]]) -> Html:
    path = " ".join(f"{'L' if n else 'M'}{round(x, 2)} {round(y, 2)}" for n, (x, y) in enumerate(positions))
    dots = [element("circle", cx=round(x, 2), cy=round(y, 2), r=3, class_=f"dot {kind}") for x, y in positions]
    return join(element("path", d=path, class_=f"line {kind}") if path else None, *dots)


def _sample(kind: str) -> Html:
    return element("svg", _line(kind, [(2, 6), (30, 6)]), viewBox="0 0 32 12", class_="sample", aria_hidden="true")


def _text(x: float, y: float, content: str, anchor: str, kind: str = "tick") -> Html:
    return element("text", content, x=round(x, 2), y=round(y, 2), text_anchor=anchor, class_=kind)


def _truncated(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"  # noqa: PLR2004 a longer label would overlap the next one
