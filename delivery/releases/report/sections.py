"""Sections of the page, from the verdict to the infrastructure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.releases.report import charts, comparison, figures, tables
from delivery.releases.report.charts import Line, Text
from delivery.releases.report.markup import Html, data, element, escape, join
from delivery.releases.report.tables import Column, folded, table
from workloads.evidence import PERIOD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.releases.report.model import Review

_SHOWN_DRIFT = 8
_BASELINES = ("base-1", "base-2", "base-3")
"""Classes of the page. More baselines than these share the last."""


def section(name: str, title: str, lead: str, *content: Html | None) -> Html:
    """A section with a heading, a sentence about it, and what it shows."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, element("p", lead, class_="lead"), *content, id=name, aria_labelledby=f"{name}-title")


def gate(review: Review) -> Html:
    """What each rule of the gate has found."""
    if not review.findings:
        return section("gate", "Gate", "No gate was asked about this version.", tables.of_metrics(review))
    columns = [Column(name="rule"), Column(name="found"), Column(name="bound"), Column(name="", kind=None)]
    rows: list[tuple[str, list[Html]]] = []
    for finding in review.findings:
        value, bound = (
            tables.NONE if number is None else data(number, figures.number(number)) for number in (finding.value, finding.bound)
        )
        says = element("span", "passed" if finding.passed else "failed", class_="good" if finding.passed else "bad")
        note = element("span", finding.note, class_="note") if finding.note else None
        rows.append(("" if finding.passed else "failed", [join(element("code", finding.rule), note), value, bound, says]))
    lead = "The rules that evidence has to pass, as the workload declares them."
    return section(
        "gate", "Gate", lead, table("Rules of the gate", columns, rows), folded("All metrics", tables.of_metrics(review))
    )


def periods(review: Review) -> Html:
    """The version against the stable one and the baselines, week by week."""
    report, stable = review.version.report, review.stable
    slices = report.slices[PERIOD]
    lines = [Line(name=f"v{review.version.version}", kind="new", values=_errors(slices, report.periods, "wape"))]
    if stable is not None:
        old = tuple(
            (found or {}).get("wape") for found in (comparison.slice_of(stable, PERIOD, name) for name in report.periods)
        )
        lines.append(Line(name=f"v{stable.version}, stable", kind="old", values=old))
    lines += [
        Line(name=figures.words(name), kind=_BASELINES[min(place, 2)], values=_errors(slices, report.periods, f"wape_{name}"))
        for place, name in enumerate(report.baselines)
    ]
    shown = [line for line in lines if any(value is not None for value in line.values)]
    says = f"Error by {PERIOD}, {comparison.span(report)}. " + " ".join(_tells(line) for line in shown)
    text = Text(title=f"Error by {PERIOD}", says=says, x=PERIOD, y="error")
    won = comparison.better_in(review)
    if won is not None and stable is not None:
        lead = f"Better than v{stable.version} in {won[0]} of {figures.plural(won[1], PERIOD)}."
    else:
        lead = "Nothing is stable here: the baselines are all there is to compare with."
    if stable is not None and won is None:
        lead = f"v{stable.version} was back-tested on none of these {PERIOD}s."
    drawing = charts.responsive(lambda width: charts.over_periods(shown, report.periods, text, width))
    figure = element("figure", charts.legend(shown), drawing)
    details = folded(f"Figures by {PERIOD}", tables.of_periods(review))
    return section("periods", f"{PERIOD.capitalize()} by {PERIOD}", f"{lead} {report.method.capitalize()}.", figure, details)


def slices(review: Review) -> Html:
    """Errors by every dimension but the period."""
    report = review.version.report
    return join(*(_dimension(review, name) for name in sorted(report.slices) if name != PERIOD))


def calibration(review: Review) -> Html:
    """What was forecast against what came."""
    report = review.version.report
    if not report.calibration:
        return section("calibration", "Calibration", "The back-test says nothing about it.")
    points = [(found.forecast, found.actual) for found in report.calibration]
    above = sum(actual > forecast for forecast, actual in points)
    lead = (
        f"More came than was forecast in {above} of {figures.plural(len(points), 'bin')}; the line is where both are the same."
    )
    text = Text(title="Calibration", says=lead, x=f"mean forecast, {report.unit}", y=f"mean actual, {report.unit}")
    drawing = element(
        "div", charts.responsive(lambda width: charts.against(points, "new", text, width), charts.HALF), class_="half"
    )
    return section(
        "calibration", "Calibration", lead, element("figure", drawing), folded("Figures by bin", tables.of_calibration(report))
    )


def response(review: Review) -> Html | None:
    """What the model says a price does."""
    report = review.version.report
    if report.response is None:
        return None
    points = sorted(report.response.points, key=lambda point: point.price)
    best = max(points, key=lambda point: point.earnings)
    lead = (
        f"By the model, a row's mean if all prices were a share of their usual ones. It earns most at {best.price:g} times the "
        f"usual price: {figures.number(best.earnings)} {report.response.earnings_unit}."
    )
    drawn: list[Html] = []
    for unit, values in (
        (report.unit, [p.units for p in points]),
        (report.response.earnings_unit, [p.earnings for p in points]),
    ):
        says = (
            f"From {figures.number(values[0])} at {points[0].price:g} to {figures.number(values[-1])} at {points[-1].price:g}."
        )
        text = Text(title=f"Price response: {unit}", says=says, x="price / usual price", y=unit)
        pairs = list(zip([point.price for point in points], values, strict=True))
        drawn.append(element("figure", _curve(pairs, text)))
    shown = element("div", *drawn, class_="pair")
    return section("response", "Price response", lead, shown, folded("Figures by price", tables.of_response(report)))


def drift(review: Review) -> Html:
    """Whether the back-test's rows are like those that were learned from."""
    report = review.version.report
    if not report.drift:
        return section("drift", "Drift", "The back-test says nothing about it.")
    ordered = sorted(report.drift, key=lambda name: (-report.drift[name].psi, comparison.natural(name)))
    moved = sum(report.drift[name].psi > 0.25 for name in ordered)  # noqa: PLR2004 the custom of the index
    lead = (
        f"{moved} of {figures.plural(len(ordered), 'feature')} moved between training and back-test: a population stability "
        "index above 0.25. Below 0.1 little has changed."
    )
    caption = "Features that moved most" if len(ordered) > _SHOWN_DRIFT else "Features"
    legend = charts.legend([Line(name="training", kind="old", values=()), Line(name="back-test", kind="new", values=())])
    return section(
        "drift", "Drift", lead, legend, tables.of_drift(report, ordered[:_SHOWN_DRIFT], caption),
        folded(f"Quantiles of {figures.plural(len(ordered), 'feature')}", tables.of_quantiles(report)),
    )  # fmt: skip


def lineage(review: Review) -> Html:
    """Where the version comes from."""
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
        ("back-tested again", version.confirmed or "not since training"),
        ("trained by", version.trainer),
        ("approved by", version.approval or "nobody yet"),
    ]
    rows = [join(element("dt", name), element("dd", element("code", value))) for name, value in facts if value]
    warning = None
    if version.data != report.data:
        says = f"The report is of other data than the version: {report.data}."
        warning = element("p", says, class_="note bad")
    lead = "What this version is made from. The same identifiers are in the stack file, in the image and in every answer."
    return section("lineage", "Lineage", lead, warning, element("dl", *rows))


def infrastructure(review: Review) -> Html:
    """What the infrastructure would change."""
    where = f" of {review.environment}" if review.environment else ""
    if review.preview is None:
        return section("infrastructure", "Infrastructure", f"No preview{where} was made for this page.")
    text = review.preview.replace("\r\n", "\n")
    if not text.strip():
        return section("infrastructure", "Infrastructure", f"The preview{where} changes nothing.")
    shown = element(
        "pre",
        element("code", *map(_diff_line, text.splitlines(keepends=True))),
        tabindex=0,
        role="region",
        aria_label="Preview",
    )
    return section("infrastructure", "Infrastructure", f"What the preview{where} says will change.", shown)


def _dimension(review: Review, dimension: str) -> Html:
    report = review.version.report
    found = comparison.sorted_slices(report.slices[dimension])
    (worst, most), (best, least) = ((name, metrics["wape"]) for name, metrics in (found[0], found[-1]))
    noun, overall = figures.words(dimension), report.metrics["wape"]
    above = sum(metrics["wape"] > overall for _, metrics in found)
    lead = (
        f"From {figures.error(least)} ({noun} {best}) to {figures.error(most)} ({noun} {worst}, the worst). "
        f"{above} of {len(found)} are above the error of all, {figures.error(overall)}"
    )
    content = tables.of_slices(review, dimension)
    if len(found) <= tables.OPEN_ROWS:
        return section(f"by-{dimension}", f"By {noun}", f"{lead}.", content)
    lead += ", the dashed line."
    text = Text(title=f"Error by {noun}, the worst first", says=lead, x=f"{noun}s, the worst first", y="error")
    entries = [(name, metrics["wape"]) for name, metrics in found]
    drawing = charts.responsive(lambda width: charts.columns(entries, overall, text, width))
    return section(
        f"by-{dimension}", f"By {noun}", lead, element("figure", drawing), folded(f"All {len(found)} {noun}s", content)
    )


def _curve(points: Sequence[tuple[float, float]], text: Text) -> Html:
    return charts.responsive(lambda width: charts.curve(points, "new", text, width, marked=1.0), charts.HALF)


def _errors(slices: dict[str, dict[str, float]], names: Sequence[str], metric: str) -> tuple[float | None, ...]:
    return tuple(slices[name].get(metric) for name in names)


def _tells(line: Line) -> str:
    known = [value for value in line.values if value is not None]
    return f"{line.name}: {figures.error(min(known))} to {figures.error(max(known))}."


def _diff_line(line: str) -> Html:
    sign = line.lstrip()[:1]
    kind = {"+": "added", "-": "removed", "~": "changed"}.get(sign)
    return element("span", line, class_=kind) if kind else escape(line)
