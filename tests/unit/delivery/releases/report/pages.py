"""Reviews, and a parser that reads the page of a review back."""

from __future__ import annotations

from html.parser import HTMLParser

from delivery.releases.report.markup import VOID
from delivery.releases.report.model import Review, Split, Traffic, Version
from tests.reports import small
from workloads.evidence import Report, canonical, digest
from workloads.gate import Finding

PASSED = Finding(rule="wape <= 0.42", value=0.41, bound=0.42, passed=True)
FAILED = Finding(rule="wape <= 0.8 x wape_mean8", value=0.5, bound=0.4, passed=False)
CANARY = Traffic(before=Split(stable=7), after=Split(stable=7, canary=8, percent=10))


def version(report: Report, **changes) -> Version:
    fields = {"workload": "markdown", "version": 8, "run": "a" * 32, "data": report.data, "revision": "0123abc"}
    return Version(report=report, digest=digest(canonical(report)), **fields | changes)


def review(report: Report | None = None, **changes) -> Review:
    return Review(**{"version": version(report or small()), "stable": None, "findings": (PASSED,)} | changes)


def errors(wape: float, **changes) -> Report:
    """Returns a report with this error."""
    return small(metrics=small().metrics | {"wape": wape}, **changes)


class Page(HTMLParser):
    """The text, elements and exact figures of a page. Fails if the tags are not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.tags, self.figures, self._open = "", [], set(), []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "data":
            self.figures.add(dict(attrs)["value"])
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not {"style", "title", "desc"} & set(self._open):
            self.text += data

    def attributes_of(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]
