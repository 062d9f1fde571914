"""The tables of the page."""

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
"""A table with more rows than this is collapsed."""
EMPTY = Html('<span class="muted" aria-label="none">–</span>')  # noqa: RUF001 an en dash, as usual for an empty cell


@dataclass(frozen=True, kw_only=True)
class Column:
    """The heading of a column, and the class of its cells in the style sheet."""

    name: str
    kind: str | None = "figure"


def table(caption: str, columns: Sequence[Column], rows: Iterable[tuple[str, Sequence[Html]]], *, kind: str = "") -> Html:
    """Returns a table whose first column contains the row headings. A table that is wider than the page scrolls on its own.

    Args:
        caption: the title of the table.
        columns: the headings.
        rows: for each row its class (may be empty) and its cells.
        kind: the class of the table.
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
    content = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body), class_=kind or None
    )
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)


def collapsible(summary: str, content: Html) -> Html:
    """Returns content that the reader can expand. In print it is always expanded."""
    return element("details", element("summary", summary), content)


def of_periods(review: Review) -> Html:
    """Shows the errors by period: of this version, of the stable version and of the baselines."""
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
    """Shows the errors of a dimension's slices, the largest error first."""
    report, stable = review.version.report, review.stable
    ordered = sorted_slices(report.slices[dimension])
    longest = max(metrics["wape"] for _, metrics in ordered)
    columns = [
        Column(name=dimension),
        Column(name="error"),
        Column(name="", kind="drawn"),
        *([Column(name=f"difference to v{stable.version}")] if stable else []),
        Column(name="bias"),
        *(Column(name=figures.words(name)) for name in report.baselines),
        Column(name="rows"),
    ]
    rows: list[tuple[str, list[Html]]] = []
    for index, (name, metrics) in enumerate(ordered):
        worst = metrics["wape"] == longest
        old = slice_of(stable, dimension, name)
        cells = [
            join(escape(name), Html(' <span class="flag">worst</span>') if index == 0 else None),
            _error(metrics["wape"]),
            charts.bar(metrics["wape"], longest, worst=worst),
            *([_change(metrics["wape"], old["wape"] if old else None)] if stable else []),
            _signed(metrics.get("bias")),
            *(_error(metrics.get(f"wape_{baseline}")) for baseline in report.baselines),
            _number(metrics.get("rows")),
        ]
        rows.append(("worst" if worst else "", cells))
    return table(f"Error by {figures.words(dimension)}, largest first", columns, rows)


def of_calibration(report: Report) -> Html:
    """Shows the bins of the calibration."""
    columns = [
        Column(name="bin"),
        Column(name="mean forecast"),
        Column(name="mean actual"),
        Column(name="actual / forecast"),
        Column(name="rows"),
    ]
    rows = [
        (
            "",
            [
                escape(str(number)),
                _number(each.forecast),
                _number(each.actual),
                _number(each.actual / each.forecast) if each.forecast else EMPTY,
                _number(each.rows),
            ],
        )
        for number, each in enumerate(report.calibration, start=1)
    ]
    return table(f"Bins by size of the forecast, in {report.unit}", columns, rows)


def of_response(report: Report) -> Html:
    """Shows the points of the price response. Empty for workloads without prices."""
    if report.response is None:
        return Html()
    columns = [Column(name="price / usual price"), Column(name=report.unit), Column(name=report.response.earnings_unit)]
    rows = [
        ("", [_number(point.price), _number(point.units), _number(point.earnings)])
        for point in sorted(report.response.points, key=lambda point: point.price)
    ]
    return table("Predicted mean per row at each price", columns, rows)


def of_drift(report: Report, names: Sequence[str], caption: str) -> Html:
    """Shows the drift of features, with a drawing of both distributions."""
    columns = [
        Column(name="feature"),
        Column(name="index"),
        Column(name="drift", kind=None),
        Column(name="training above, back-test below", kind=None),
        Column(name="median in training"),
        Column(name="median in back-test"),
    ]
    rows: list[tuple[str, list[Html]]] = []
    for name in names:
        drift = report.drift[name]
        distributions = [
            (kind, (q.p05, q.p25, q.p50, q.p75, q.p95)) for kind, q in (("old", drift.training), ("new", drift.backtest))
        ]
        cells = [
            _number(drift.psi),
            _level(drift.psi),
            charts.quantile_ranges(distributions),
            _number(drift.training.p50),
            _number(drift.backtest.p50),
        ]
        rows.append(("", [element("code", name), *cells]))
    return table(caption, columns, rows, kind="drift")


def of_quantiles(report: Report) -> Html:
    """Shows all quantiles of all features, with one row for training and one for the back-test."""
    quantile_names = ("p05", "p25", "p50", "p75", "p95", "missing")
    headings = ("5 %", "25 %", "median", "75 %", "95 %", "missing")
    columns = [
        Column(name="feature"),
        Column(name="rows from", kind=None),
        Column(name="index"),
        *(Column(name=n) for n in headings),
    ]
    rows: list[tuple[str, list[Html]]] = []
    for name in sorted(report.drift, key=lambda name: (-report.drift[name].psi, natural(name))):
        drift = report.drift[name]
        for source, quantiles in (("training", drift.training), ("back-test", drift.backtest)):
            values = [_number(getattr(quantiles, quantile)) for quantile in quantile_names]
            rows.append(("", [element("code", name), escape(source), _number(drift.psi), *values]))
    return table("Quantiles of all features", columns, rows)


def of_metrics(review: Review) -> Html:
    """Shows all metrics that the gate can use."""
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
    kind, label = ("bad", "large") if psi > 0.25 else ("warn", "moderate") if psi >= 0.1 else ("good", "small")  # noqa: PLR2004 usual
    return element("span", label, class_=f"level {kind}")


def _change(new: float, old: float | None) -> Html:
    if old is None:
        return EMPTY
    kind = "better" if new < old else "worse" if new > old else None
    return element("span", data(new - old, figures.signed(new - old)), class_=kind)


def _error(value: float | None) -> Html:
    return EMPTY if value is None else data(value, figures.error(value))


def _signed(value: float | None) -> Html:
    return EMPTY if value is None else data(value, figures.signed(value))


def _number(value: float | None) -> Html:
    return EMPTY if value is None else data(value, figures.number(value))
