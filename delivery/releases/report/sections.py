"""The sections of the page, from the gate to the infrastructure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.releases.report import charts, comparison, figures, tables
from delivery.releases.report.charts import Line, Text
from delivery.releases.report.markup import Html, data, element, escape, join
from delivery.releases.report.tables import Column, collapsible, table
from workloads.evidence import PERIOD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.releases.report.model import Review

_SHOWN_DRIFT = 8
"""Number of features in the drift table. A second, collapsed table contains all features."""
_BASELINES = ("base-1", "base-2", "base-3")
"""Classes in the style sheet. The third and all further baselines share the last class."""


def section(name: str, title: str, lead: str, *content: Html | None) -> Html:
    """Returns a section with a heading, an introduction (`lead`) and its content."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, element("p", lead, class_="lead"), *content, id=name, aria_labelledby=f"{name}-title")


def gate(review: Review) -> Html:
    """Shows the result of each rule of the gate."""
    if not review.findings:
        return section("gate", "Gate", "No gate was checked for this version.", tables.of_metrics(review))
    columns = [Column(name="rule"), Column(name="value"), Column(name="bound"), Column(name="result", kind=None)]
    rows: list[tuple[str, list[Html]]] = []
    for finding in review.findings:
        value, bound = (
            tables.EMPTY if number is None else data(number, figures.number(number))
            for number in (finding.value, finding.bound)
        )
        result = element("span", "passed" if finding.passed else "failed", class_="good" if finding.passed else "bad")
        note = element("span", finding.note, class_="note") if finding.note else None
        rows.append(("" if finding.passed else "failed", [join(element("code", finding.rule), note), value, bound, result]))
    lead = "The workload declares these rules. The evidence must pass all of them."
    return section(
        "gate", "Gate", lead, table("Rules of the gate", columns, rows), collapsible("All metrics", tables.of_metrics(review))
    )


def periods(review: Review) -> Html:
    """Compares the version with the stable version and the baselines, period by period."""
    report, stable = review.version.report, review.stable
    slices = report.slices[PERIOD]
    lines = [Line(name=f"v{review.version.version}", kind="new", values=_errors(slices, report.periods, "wape"))]
    if stable is not None:
        old = tuple(
            (metrics or {}).get("wape") for metrics in (comparison.slice_of(stable, PERIOD, name) for name in report.periods)
        )
        lines.append(Line(name=f"v{stable.version}, stable", kind="old", values=old))
    lines += [
        Line(name=figures.words(name), kind=_BASELINES[min(index, 2)], values=_errors(slices, report.periods, f"wape_{name}"))
        for index, name in enumerate(report.baselines)
    ]
    shown = [line for line in lines if any(value is not None for value in line.values)]
    description = f"Error by {PERIOD}, {comparison.span(report)}. " + " ".join(_range_of(line) for line in shown)
    text = Text(title=f"Error by {PERIOD}", description=description, x=PERIOD, y="error")
    improved = comparison.improved_periods(review)
    if stable is None:
        lead = "There is no report of another stable version, so only the baselines are compared."
    elif improved is None:
        lead = f"v{stable.version} was back-tested on none of these {PERIOD}s."
    else:
        lead = f"The error is smaller than that of v{stable.version} in {improved[0]} of {figures.plural(improved[1], PERIOD)}."
    drawing = charts.responsive(lambda width: charts.line_chart(shown, report.periods, text, width))
    figure = element("figure", charts.legend(shown), drawing)
    details = collapsible(f"Figures by {PERIOD}", tables.of_periods(review))
    return section("periods", f"{PERIOD.capitalize()} by {PERIOD}", f"{lead} {report.method.capitalize()}.", figure, details)


def slices(review: Review) -> Html:
    """Shows the errors by each dimension except the period."""
    report = review.version.report
    return join(*(_dimension(review, name) for name in sorted(report.slices) if name != PERIOD))


def calibration(review: Review) -> Html:
    """Compares the forecasts with the actual values, in bins by the size of the forecast."""
    report = review.version.report
    if not report.calibration:
        return section("calibration", "Calibration", "The report has no calibration figures.")
    points = [(each.forecast, each.actual) for each in report.calibration]
    above = sum(actual > forecast for forecast, actual in points)
    lead = (
        f"The mean actual value is above the mean forecast in {above} of {figures.plural(len(points), 'bin')}. "
        "On the dashed line, both are equal."
    )
    text = Text(title="Calibration", description=lead, x=f"mean forecast, {report.unit}", y=f"mean actual, {report.unit}")
    drawing = element(
        "div", charts.responsive(lambda width: charts.scatter(points, "new", text, width), charts.HALF), class_="half"
    )
    return section(
        "calibration",
        "Calibration",
        lead,
        element("figure", drawing),
        collapsible("Figures by bin", tables.of_calibration(report)),
    )


def response(review: Review) -> Html | None:
    """Shows the effect of a price that the model predicts. Returns None for workloads without prices."""
    report = review.version.report
    if report.response is None:
        return None
    points = sorted(report.response.points, key=lambda point: point.price)
    best = max(points, key=lambda point: point.earnings)
    lead = (
        "The model's mean prediction per row if all prices are the same multiple of the usual prices. Earnings are "
        f"highest at {best.price:g} times the usual price: {figures.number(best.earnings)} {report.response.earnings_unit}."
    )
    drawn: list[Html] = []
    for unit, values in (
        (report.unit, [p.units for p in points]),
        (report.response.earnings_unit, [p.earnings for p in points]),
    ):
        first, last = points[0], points[-1]
        description = f"From {figures.number(values[0])} at {first.price:g} to {figures.number(values[-1])} at {last.price:g}."
        text = Text(title=f"Price response: {unit}", description=description, x="price / usual price", y=unit)
        pairs = list(zip([point.price for point in points], values, strict=True))
        drawn.append(element("figure", _curve(pairs, text)))
    shown = element("div", *drawn, class_="pair")
    return section("response", "Price response", lead, shown, collapsible("Figures by price", tables.of_response(report)))


def drift(review: Review) -> Html:
    """Compares the distributions of the features in the training rows and in the back-test rows."""
    report = review.version.report
    if not report.drift:
        return section("drift", "Drift", "The report has no drift figures.")
    ordered = sorted(report.drift, key=lambda name: (-report.drift[name].psi, comparison.natural(name)))
    moved = sum(report.drift[name].psi > 0.25 for name in ordered)  # noqa: PLR2004 the usual threshold
    lead = (
        f"{moved} of {figures.plural(len(ordered), 'feature')} changed strongly between training and back-test: the population "
        "stability index (PSI) is above 0.25. An index below 0.1 means little change."
    )
    caption = "Features with the largest drift" if len(ordered) > _SHOWN_DRIFT else "Features"
    legend = charts.legend([Line(name="training", kind="old", values=()), Line(name="back-test", kind="new", values=())])
    return section(
        "drift", "Drift", lead, legend, tables.of_drift(report, ordered[:_SHOWN_DRIFT], caption),
        collapsible(f"Quantiles of {figures.plural(len(ordered), 'feature')}", tables.of_quantiles(report)),
    )  # fmt: skip


def lineage(review: Review) -> Html:
    """Shows the origin of the version."""
    version, report = review.version, review.version.report
    facts: list[tuple[str, str | None]] = [
        ("data", version.data),
        ("data until", report.data_until),
        ("last day of the data", report.data_day and report.data_day.isoformat()),
        ("learned until", report.learned_until),
        ("code revision", version.revision),
        ("run", version.run),
        ("image", version.image or "not built yet"),
        ("back-test report", version.digest),
        ("back-test repeated", version.confirmed or "not since training"),
        ("trained by", version.trainer),
        ("approved by", version.approval or "nobody yet"),
    ]
    rows = [join(element("dt", name), element("dd", element("code", value))) for name, value in facts if value]
    warning = None
    if version.data != report.data:
        mismatch = f"The report was made with other data than the version: {report.data}."
        warning = element("p", mismatch, class_="note bad")
    lead = (
        "The origin of this version. The stack file, the image and every answer of the endpoint contain the same identifiers."
    )
    return section("lineage", "Lineage", lead, warning, element("dl", *rows))


def infrastructure(review: Review) -> Html:
    """Shows the changes of the infrastructure that the preview found."""
    scope = f" of {review.environment}" if review.environment else ""
    if review.preview is None:
        return section("infrastructure", "Infrastructure", f"No preview{scope} was run for this page.")
    text = review.preview.replace("\r\n", "\n")
    if not text.strip():
        return section("infrastructure", "Infrastructure", f"The preview{scope} shows no changes.")
    shown = element(
        "pre",
        element("code", *map(_diff_line, text.splitlines(keepends=True))),
        tabindex=0,
        role="region",
        aria_label="Preview",
    )
    return section("infrastructure", "Infrastructure", f"The changes that the preview{scope} shows.", shown)


def _dimension(review: Review, dimension: str) -> Html:
    report = review.version.report
    ordered = comparison.sorted_slices(report.slices[dimension])
    (worst, largest), (best, smallest) = ((name, metrics["wape"]) for name, metrics in (ordered[0], ordered[-1]))
    noun, overall = figures.words(dimension), report.metrics["wape"]
    above = sum(metrics["wape"] > overall for _, metrics in ordered)
    lead = (
        f"The error ranges from {figures.error(smallest)} ({noun} {best}) to {figures.error(largest)} ({noun} {worst}). "
        f"{above} of {figures.plural(len(ordered), noun)} are above the overall error of {figures.error(overall)}"
    )
    content = tables.of_slices(review, dimension)
    if len(ordered) <= tables.OPEN_ROWS:
        return section(f"by-{dimension}", f"By {noun}", f"{lead}.", content)
    lead += " (dashed line)."
    text = Text(title=f"Error by {noun}, largest first", description=lead, x=f"{noun}s, largest error first", y="error")
    entries = [(name, metrics["wape"]) for name, metrics in ordered]
    drawing = charts.responsive(lambda width: charts.column_chart(entries, overall, text, width))
    return section(
        f"by-{dimension}", f"By {noun}", lead, element("figure", drawing), collapsible(f"All {len(ordered)} {noun}s", content)
    )


def _curve(points: Sequence[tuple[float, float]], text: Text) -> Html:
    return charts.responsive(lambda width: charts.curve(points, "new", text, width, marked=1.0), charts.HALF)


def _errors(slices: dict[str, dict[str, float]], names: Sequence[str], metric: str) -> tuple[float | None, ...]:
    return tuple(slices[name].get(metric) for name in names)


def _range_of(line: Line) -> str:
    values = [value for value in line.values if value is not None]
    return f"{line.name}: {figures.error(min(values))} to {figures.error(max(values))}."


def _diff_line(line: str) -> Html:
    sign = line.lstrip()[:1]
    kind = {"+": "added", "-": "removed", "~": "changed"}.get(sign)
    return element("span", line, class_=kind) if kind else escape(line)
