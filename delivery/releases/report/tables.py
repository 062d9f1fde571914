"""Tables of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.releases.report import charts, figures
from delivery.releases.report.comparison import natural, slice_of, sorted_slices
from delivery.releases.report.markup import Html, data, element, escape, join
from workloads.evidence import PERIOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from delivery.releases.report.model import Review
    from workloads.evidence import Metrics, Report

OPEN_ROWS = 20
"""A table of more rows is folded."""
NONE = Html('<span class="quiet" aria-label="none">–</span>')  # noqa: RUF001 the sign for nothing in a table


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's heading, and the class of its cells."""

    name: str
    kind: str | None = "figure"


def table(caption: str, columns: Sequence[Column], rows: Iterable[tuple[str, Sequence[Html]]], *, kind: str = "") -> Html:
    """A table whose first column is the heading of its rows. It scrolls by itself where it is wider than the page.

    Args:
        caption: what the table is.
        columns: the headings.
        rows: a class (or none) and the cells of each.
        kind: class of the table.
    """
    head = element("tr", *(element("th", column.name, scope="col", class_=column.kind) for column in columns))
    body = [
        element(
            "tr",
            element("th", cells[0], scope="row"),
            *(element("td", cell, class_=column.kind) for cell, column in zip(cells[1:], columns[1:], strict=True)),
            class_=row or None,
        )
        for row, cells in rows
    ]
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", *body), class_=kind or None)
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def folded(summary: str, content: Html) -> Html:
    """Content that is shown when asked for, and always in print."""
    return element("details", element("summary", summary), content)


def of_periods(review: Review) -> Html:
    """Errors week by week: this version's, the stable one's, the baselines'."""
    report, stable = review.version.report, review.stable
    names = [
        f"v{review.version.version}",
        *([f"v{stable.version}, stable"] if stable else []),
        *map(figures.words, report.baselines),
    ]
    columns = [Column(name=PERIOD), *(Column(name=name) for name in names), Column(name="bias"), Column(name="rows")]
    rows: list[tuple[str, list[Html]]] = []
    for period in report.periods:
        metrics = report.slices[PERIOD][period]
        old = slice_of(stable, PERIOD, period)
        errors = [metrics.get("wape"), *([(old or {}).get("wape")] if stable else [])]
        errors += [metrics.get(f"wape_{name}") for name in report.baselines]
        rows.append(("", [escape(period), *map(_error, errors), _signed(metrics.get("bias")), _number(metrics.get("rows"))]))
    return table(f"Error by {PERIOD}", columns, rows)


def of_slices(review: Review, dimension: str) -> Html:
    """Errors of a dimension's slices, the worst first."""
    report, stable = review.version.report, review.stable
    found = sorted_slices(report.slices[dimension])
    longest = max(metrics["wape"] for _, metrics in found)
    columns = [
        Column(name=dimension),
        Column(name="error"),
        Column(name="", kind="drawn"),
        *([Column(name=f"to v{stable.version}")] if stable else []),
        Column(name="bias"),
        *(Column(name=figures.words(name)) for name in report.baselines),
        Column(name="rows"),
    ]
    rows: list[tuple[str, list[Html]]] = []
    for place, (name, metrics) in enumerate(found):
        worst = metrics["wape"] == longest
        old = slice_of(stable, dimension, name)
        cells = [
            join(escape(name), Html(' <span class="flag">worst</span>') if place == 0 else None),
            _error(metrics["wape"]),
            charts.bar(metrics["wape"], longest, worst=worst),
            *([_change(metrics["wape"], old["wape"] if old else None)] if stable else []),
            _signed(metrics.get("bias")),
            *(_error(metrics.get(f"wape_{baseline}")) for baseline in report.baselines),
            _number(metrics.get("rows")),
        ]
        rows.append(("worst" if worst else "", cells))
    return table(f"Error by {figures.words(dimension)}, the worst first", columns, rows)


def of_calibration(report: Report) -> Html:
    """Bins of the calibration."""
    columns = [
        Column(name="bin"),
        Column(name="mean forecast"),
        Column(name="mean actual"),
        Column(name="ratio"),
        Column(name="rows"),
    ]
    rows = [
        (
            "",
            [
                escape(str(place)),
                _number(found.forecast),
                _number(found.actual),
                _number(found.actual / found.forecast) if found.forecast else NONE,
                _number(found.rows),
            ],
        )
        for place, found in enumerate(report.calibration, start=1)
    ]
    return table(f"Bins by size of the forecast, {report.unit}", columns, rows)


def of_response(report: Report) -> Html:
    """Points of the price response."""
    if report.response is None:
        return Html()
    columns = [Column(name="price / usual"), Column(name=report.unit), Column(name=report.response.earnings_unit)]
    rows = [
        ("", [_number(point.price), _number(point.units), _number(point.earnings)])
        for point in sorted(report.response.points, key=lambda point: point.price)
    ]
    return table("Expected at a price, mean of a row", columns, rows)


def of_drift(report: Report, names: Sequence[str], caption: str) -> Html:
    """How far features have moved, with a picture of both distributions."""
    columns = [
        Column(name="feature"),
        Column(name="index"),
        Column(name="", kind=None),
        Column(name="training over back-test", kind=None),
        Column(name="median in training"),
        Column(name="in back-test"),
    ]
    rows: list[tuple[str, list[Html]]] = []
    for name in names:
        found = report.drift[name]
        pairs = [(kind, (q.p05, q.p25, q.p50, q.p75, q.p95)) for kind, q in (("old", found.training), ("new", found.backtest))]
        cells = [
            _number(found.psi),
            _level(found.psi),
            charts.ranges(pairs),
            _number(found.training.p50),
            _number(found.backtest.p50),
        ]
        rows.append(("", [element("code", name), *cells]))
    return table(caption, columns, rows, kind="drift")


def of_quantiles(report: Report) -> Html:
    """All quantiles of all features, a row for each of the two distributions."""
    places = ("p05", "p25", "p50", "p75", "p95", "missing")
    headings = ("5 %", "25 %", "median", "75 %", "95 %", "not known")
    columns = [
        Column(name="feature"),
        Column(name="rows of", kind=None),
        Column(name="index"),
        *(Column(name=n) for n in headings),
    ]
    rows: list[tuple[str, list[Html]]] = []
    for name in sorted(report.drift, key=lambda name: (-report.drift[name].psi, natural(name))):
        found = report.drift[name]
        for where, quantiles in (("training", found.training), ("back-test", found.backtest)):
            values = [_number(getattr(quantiles, place)) for place in places]
            rows.append(("", [element("code", name), escape(where), _number(found.psi), *values]))
    return table("Quantiles of all features", columns, rows)


def of_metrics(review: Review) -> Html:
    """All that the gate sees."""
    report, stable = review.version.report, review.stable
    columns = [
        Column(name="metric"),
        Column(name=f"v{review.version.version}"),
        *([Column(name=f"v{stable.version}, stable")] if stable else []),
    ]
    old: Metrics = stable.report.metrics if stable else {}
    rows = [
        ("", [element("code", name), _number(value), *([_number(old.get(name))] if stable else [])])
        for name, value in sorted(report.metrics.items())
    ]
    return table("All metrics of the back-test", columns, rows)


def _level(psi: float) -> Html:
    kind, says = ("bad", "moved") if psi > 0.25 else ("warn", "moving") if psi >= 0.1 else ("good", "steady")  # noqa: PLR2004 custom
    return element("span", says, class_=f"level {kind}")


def _change(new: float, old: float | None) -> Html:
    if old is None:
        return NONE
    kind = "better" if new < old else "worse" if new > old else None
    return element("span", data(new - old, figures.signed(new - old)), class_=kind)


def _error(value: float | None) -> Html:
    return NONE if value is None else data(value, figures.error(value))


def _signed(value: float | None) -> Html:
    return NONE if value is None else data(value, figures.signed(value))


def _number(value: float | None) -> Html:
    return NONE if value is None else data(value, figures.number(value))
