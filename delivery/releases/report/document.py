"""The review page: a single HTML file without scripts, which loads nothing from the network."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from delivery.releases.report import comparison, figures, sections
from delivery.releases.report.markup import Html, data, element, escape, join
from workloads.evidence import PERIOD

if TYPE_CHECKING:
    from delivery.releases.report.model import Review

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Content security policy: if an error in the escaping let a script pass, the browser would not run it and fetch nothing."""


def page(review: Review) -> str:
    """Returns the HTML of the page for reviewers and approvers."""
    title = f"{review.version.workload} v{review.version.version}"
    style = Html(resources.files("delivery.releases.report").joinpath("page.css").read_text(encoding="utf-8"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", f"{title}: {verdict(review)}"),
        element("style", style),
    )
    body = element("body", _header(review, title), _contents(review), element("main", *_sections(review)), _footer(review))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def verdict(review: Review) -> str:
    """Returns the verdict of the gate in a few words."""
    if not review.findings:
        return "gate not checked"
    failed = sum(not finding.passed for finding in review.findings)
    return "gate passed" if not failed else f"gate failed, {failed} of {figures.plural(len(review.findings), 'rule')}"


def summary(review: Review) -> str:
    """Returns the result of the back-test in a few sentences: the error, and how it compares with other errors."""
    report = review.version.report
    error = report.metrics["wape"]
    periods = figures.plural(len(report.periods), PERIOD)
    sentences = [f"The error is {figures.error(error)} over {periods} ({comparison.span(report)})."]
    if review.stable is None:
        sentences.append("There is no report of another stable version to compare with.")
    else:
        old = review.stable.report.metrics["wape"]
        sentences.append(_compared(error, old, f"the stable version, v{review.stable.version}"))
    baseline = comparison.best_baseline(report)
    if baseline is not None:
        sentences.append(_compared(error, baseline[1], f"the best baseline, {figures.words(baseline[0])}"))
    return " ".join(sentences)


def _compared(error: float, other: float, name: str) -> str:
    """Returns a sentence that compares the error of the version with another error."""
    change = comparison.relative(error, other)
    if change is None:
        return f"The error of {name}, is {figures.error(other)}."
    return f"This is {change} the error of {name} ({figures.error(other)})."


def _sections(review: Review) -> list[Html | None]:
    return [
        sections.gate(review),
        sections.periods(review),
        sections.slices(review),
        sections.calibration(review),
        sections.response(review),
        sections.drift(review),
        sections.lineage(review),
        sections.infrastructure(review),
    ]


def _header(review: Review, title: str) -> Html:
    caveat = comparison.caveat(review)
    kind = "good" if review.passed else "bad" if review.findings else "warn"
    outcome = verdict(review)
    scope = f"Evidence for {review.environment}" if review.environment else "Evidence"
    return element(
        "header",
        element("p", scope, class_="eyebrow"),
        element(
            "div",
            element("h1", title),
            element("p", outcome[0].upper() + outcome[1:], class_=f"verdict {kind}"),
            class_="title",
        ),
        element("p", summary(review), class_="summary"),
        element("p", caveat, class_="note warn") if caveat else None,
        element("dl", *_tiles(review), class_="tiles"),
    )


def _tiles(review: Review) -> list[Html]:
    """Returns the most important figures, each as a tile."""
    report, stable = review.version.report, review.stable
    tiles: list[Html] = []
    shown = [("wape", "error"), ("bias", "bias")]
    shown += [(f"wape_worst_{name}", f"worst {figures.words(name)}") for name in sorted(report.slices) if name != PERIOD]
    for metric, label in shown:
        value = report.metrics[metric]
        old = stable.report.metrics.get(metric) if stable else None
        text = figures.signed(value) if metric == "bias" else figures.error(value)
        before = (
            figures.signed(old) if metric == "bias" and old is not None else figures.error(old) if old is not None else None
        )
        note = join("v", str(stable.version), " ", data(old, before)) if stable and old is not None and before else None
        tiles.append(_tile(label, data(value, text), note))
    if (traffic := comparison.traffic_change(review)) is not None:
        role, _, change = traffic.partition(" ")
        tiles.append(_tile("traffic, " + role.rstrip(","), escape(change), None))
    if stable is None:
        tiles.append(_tile("comparison", Html("none"), Html("no report of another stable version")))
    return tiles


def _tile(label: str, value: Html, note: Html | None) -> Html:
    return element("div", element("dt", label), element("dd", value), element("dd", note, class_="muted") if note else None)


def _contents(review: Review) -> Html:
    report = review.version.report
    dimensions = [(f"by-{name}", f"By {figures.words(name)}") for name in sorted(report.slices) if name != PERIOD]
    entries = [
        ("gate", "Gate"),
        ("periods", f"{PERIOD.capitalize()}s"),
        *dimensions,
        ("calibration", "Calibration"),
        *([("response", "Price response")] if report.response else []),
        ("drift", "Drift"),
        ("lineage", "Lineage"),
        ("infrastructure", "Infrastructure"),
    ]
    items = [element("li", element("a", label, href=f"#{name}")) for name, label in entries]
    return element("nav", element("ul", *items), aria_label="Sections")


def _footer(review: Review) -> Html:
    report = review.version.report
    explanation = (
        "Error is the weighted absolute percentage error (WAPE): the sum of the absolute errors divided by the sum of the "
        "actual values. An error of 0 is perfect; a forecast of zero for every row has an error of 1. "
        "Bias is the sum of the forecasts divided by the sum of the actual values, minus 1. A bias below zero means that the "
        "forecasts are too low in total. "
        f"The back-test has {figures.plural(report.rows, 'row')}. Point at a figure to see its value with six digits."
    )
    return element("footer", element("p", explanation), element("p", "Report ", element("code", review.version.digest)))
