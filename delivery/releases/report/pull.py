"""The review in a pull request: a summary line, and a short text in GitHub's Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from delivery.releases.report import comparison, figures
from delivery.releases.report.document import verdict
from delivery.releases.report.markup import readable
from workloads.evidence import PERIOD

if TYPE_CHECKING:
    from delivery.releases.report.model import Review

MAX_PREVIEW = 40_000
"""Maximum length of the preview, in characters. GitHub accepts comments of up to 65,536 characters."""


def digest_line(review: Review) -> str:
    """Summarises the review in one line: `markdown v7 to v8, canary 0 to 10 %, error 0.43 to 0.41, gate passed`."""
    version, stable = review.version, review.stable
    error = version.report.metrics["wape"]
    if stable is None:
        name, change = f"{version.workload} v{version.version}", f"error {figures.distinct_errors(error, error + 1)[0]}"
    else:
        old, new = figures.distinct_errors(stable.report.metrics["wape"], error)
        name = f"{version.workload} v{stable.version} to v{version.version}"
        change = f"error {old} to {new}" if old != new else f"error {figures.error(error)} as before"
    return ", ".join(part for part in (name, comparison.traffic_change(review), change, verdict(review)) if part)


def markdown(review: Review) -> str:
    """Returns the summary line, the gate, the figures with those of the stable version, the origin and the preview."""
    caveat = comparison.caveat(review)
    parts = [f"**{digest_line(review)}**", _gate(review), _figures(review), caveat, _lineage(review), _preview(review)]
    return "\n\n".join(part for part in parts if part) + "\n"


def code(text: str) -> str:
    """Formats text from outside as code on one line, so that it is not read as markup, a mention or the border of a cell."""
    line = re.sub(r"\s+", " ", readable(text)).strip().replace("`", "'").replace("|", "\\|")
    return f"`{line or ' '}`"


def _gate(review: Review) -> str | None:
    if not review.findings:
        return None
    rows = [
        (
            code(finding.rule),
            "none" if finding.value is None else figures.number(finding.value),
            "none" if finding.bound is None else figures.number(finding.bound),
            "passed" if finding.passed else "**failed**",
        )
        for finding in review.findings
    ]
    return _table(("rule", "value", "bound", "result"), rows)


def _figures(review: Review) -> str:
    report, stable = review.version.report, review.stable
    metrics = {"wape": "error", "bias": "bias"} | {
        f"wape_{name}": f"error of {figures.words(name)}" for name in report.baselines
    }
    rows = [(label, report.metrics[name], stable and stable.report.metrics.get(name)) for name, label in metrics.items()]
    for dimension in sorted(report.slices):
        if dimension != PERIOD:
            name, worst = comparison.sorted_slices(report.slices[dimension])[0]
            label = f"worst {figures.words(dimension)}, {code(name)}"
            rows.append((label, worst["wape"], (comparison.slice_of(stable, dimension, name) or {}).get("wape")))
    heading = f"back-test, {figures.plural(len(report.periods), PERIOD)}"
    if stable is None:
        return _table((heading, f"v{review.version.version}"), [(label, figures.error(new)) for label, new, _ in rows])
    lines = [(label, figures.error(new), "" if old is None else figures.error(old)) for label, new, old in rows]
    return _table((heading, f"v{review.version.version}", f"v{stable.version}, stable"), lines)


def _lineage(review: Review) -> str:
    version = review.version
    facts = {
        "data": version.data,
        "code": version.revision,
        "run": version.run,
        "image": version.image,
        "report": version.digest,
    }
    return ", ".join(f"{name} {code(figures.short(value))}" for name, value in facts.items() if value)


def _preview(review: Review) -> str | None:
    if review.preview is None or not review.preview.strip():
        return None
    text = review.preview.replace("\r\n", "\n").strip("\n")
    excess = len(text) - MAX_PREVIEW
    if excess > 0:
        text = text[:MAX_PREVIEW] + f"\n... and {excess:,} more characters"
    text = "\n".join(map(readable, text.split("\n")))
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"<details><summary>Infrastructure</summary>\n\n{fence}diff\n{text}\n{fence}\n\n</details>"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, *[("---",) + ("---:",) * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
