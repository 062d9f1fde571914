"""The page: one file that needs nothing else, no network and no script."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from delivery.releases.report import comparison, figures, sections
from delivery.releases.report.markup import Html, data, element, escape, join
from workloads.evidence import PERIOD

if TYPE_CHECKING:
    from delivery.releases.report.model import Review

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Were anything to get past the escaping, the browser would not run or fetch it."""


def page(review: Review) -> str:
    """The page for reviewers and approvers."""
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
    """What the gate says, in a few words."""
    if not review.findings:
        return "no gate asked"
    failed = sum(not finding.passed for finding in review.findings)
    return "gate passed" if not failed else f"gate failed, {failed} of {figures.plural(len(review.findings), 'rule')}"


def summary(review: Review) -> str:
    """The outcome of the back-test in two sentences."""
    report = review.version.report
    error = report.metrics["wape"]
    says = f"Error {figures.error(error)} over {figures.plural(len(report.periods), PERIOD)} ({comparison.span(report)})"
    if review.stable is None:
        says += "; nothing is stable here to compare with."
    else:
        old = review.stable.report.metrics["wape"]
        change = comparison.relative(error, old)
        says += f"; v{review.stable.version}, which is stable, has {figures.error(old)}" + (f": {change}." if change else ".")
    naive = comparison.best_baseline(report)
    if naive is not None:
        change = comparison.relative(error, naive[1])
        says += f" The best baseline, {figures.words(naive[0])}, has {figures.error(naive[1])}" + (
            f": {change}." if change else "."
        )
    return says


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
    said = verdict(review)
    where = " ".join(part for part in ("Evidence", f"for {review.environment}" if review.environment else None) if part)
    return element(
        "header",
        element("p", where, class_="over"),
        element(
            "div", element("h1", title), element("p", said[0].upper() + said[1:], class_=f"verdict {kind}"), class_="title"
        ),
        element("p", summary(review), class_="summary"),
        element("p", caveat, class_="note warn") if caveat else None,
        element("dl", *_tiles(review), class_="tiles"),
    )


def _tiles(review: Review) -> list[Html]:
    """The figures that decide."""
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
    if (traffic := comparison.traffic_words(review)) is not None:
        role, _, change = traffic.partition(" ")
        tiles.append(_tile("traffic, " + role.rstrip(","), escape(change), None))
    if stable is None:
        tiles.append(_tile("stable version", Html("none"), Html("nothing to compare with")))
    return tiles


def _tile(label: str, value: Html, note: Html | None) -> Html:
    return element("div", element("dt", label), element("dd", value), element("dd", note, class_="quiet") if note else None)


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
    says = (
        "Error is the sum of absolute errors over the sum of what came (WAPE): 0 is perfect, and a forecast of nothing has 1. "
        "Bias is what was forecast over what came, less one: below zero, too little was forecast. "
        f"Back-test of {figures.plural(report.rows, 'row')}; every figure shows its exact value when pointed at."
    )
    return element("footer", element("p", says), element("p", "Report ", element("code", review.version.digest)))
