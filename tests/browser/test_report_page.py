"""The review page in a browser: it fits the window, is readable, and loads nothing from the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from delivery.releases.report.document import page
from delivery.releases.report.model import Review, ServedVersion, Split, Traffic, Version
from tests.browser.chromium import Browser
from tests.reports import large, small
from workloads.evidence import canonical, digest
from workloads.gate import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTHS = (360, 1440)
MIN_CONTRAST = 4.5
"""Contrast of text and background: level AA of the Web Content Accessibility Guidelines 2.2."""
PREVIEW = """\
 ~  kubernetes:apps/v1:Deployment markdown-canary update
    ~ image: "registry.example/markdown-serving@sha256:{0}" => "registry.example/markdown-serving@sha256:{1}"
 +  kubernetes:core/v1:Service markdown-canary create
 -  kubernetes:core/v1:ConfigMap markdown-router delete
"""

MEASURE = """
(() => {
  const parse = (colour) => {
    const parts = colour.match(/[\\d.]+/g).map(Number);
    return {rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1};
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const {rgb, alpha} = parse(getComputedStyle(e).backgroundColor);
      if (alpha === 1) return rgb;
      if (alpha > 0) throw new Error("a background is transparent");
    }
    throw new Error("no background under " + element.outerHTML.slice(0, 80));
  };
  document.querySelectorAll("details").forEach((e) => { e.open = true; });
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length || element.closest("title, desc")) continue;
    const style = getComputedStyle(element);
    const ink = parse(element.closest("svg") ? style.fill : style.color);
    const [lighter, darker] = [luminance(ink.rgb), luminance(background(element))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize) * (element.closest("svg.chart") ?
      element.closest("svg").getBoundingClientRect().width / element.closest("svg").viewBox.baseVal.width : 1);
    texts.push({
      text: walker.currentNode.data.trim().slice(0, 40), size,
      contrast: ink.alpha === 1 ? (lighter + 0.05) / (darker + 0.05) : 0,
    });
  }
  return texts;
})()
"""
TOO_WIDE = """
[...document.querySelectorAll("body *")].filter((e) =>
  e.getBoundingClientRect().right > innerWidth + 0.5 && !e.parentElement.closest(".scroll, pre, svg")
).map((e) => e.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


def review(**changes) -> Review:
    report = large(better=0.97)
    version = Version(
        workload="markdown", version=8, run="a" * 32, data=report.data, revision="0123abc" * 5, report=report,
        digest=digest(canonical(report)), image=f"sha256:{'7' * 64}", trainer="bob@example.com",
    )  # fmt: skip
    findings = (
        Finding(rule="wape <= 0.42", value=0.394, bound=0.42, passed=True),
        Finding(rule="wape_worst_store <= 0.5", value=0.51, bound=0.5, passed=False, note="the reason for this rule"),
    )
    fields = {
        "version": version, "stable": ServedVersion(version=7, report=large()), "findings": findings, "environment": "stage",
    }  # fmt: skip
    traffic = Traffic(before=Split(stable=7), after=Split(stable=7, canary=8, percent=10))
    return Review(**fields | {"traffic": traffic, "preview": PREVIEW.format("1" * 64, "2" * 64)} | changes)


def long_names() -> Review:
    """Returns a review with long names that cannot be wrapped, and with long figures."""
    name, report = "x" * 90, small()
    brand = {name: report.slices["brand"]["1"] | {"rows": 1e15}, f"{name}2": report.slices["brand"]["2"]}
    changed = small(slices=report.slices | {"brand": brand}, drift={name: report.drift["price"]}, unit=name)
    version = Version(workload="m" * 40, version=8, run=name, data=name, revision=name, report=changed, digest=name, image=name)
    return review(version=version, stable=None)


@pytest.fixture(scope="module", params=["typical", "long names", "no stable version"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reviews = {
        "typical": review,
        "long names": long_names,
        "no stable version": lambda: review(stable=None, findings=(), preview=None),
    }
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page(reviews[request.param]()), encoding="utf-8")
    return file


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_not_wider_than_its_window(browser: Browser, file: Path, width: int):
    browser.open(file, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate(TOO_WIDE) == [], "only tables and the preview are wider, and they scroll on their own"
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_readable_in_both_colour_schemes(browser: Browser, file: Path, scheme: str, width: int):
    browser.open(file, width=width, scheme=scheme)
    measured = browser.evaluate(MEASURE)
    assert len(measured) > 100, "the script must find the texts of the page"
    assert not [entry for entry in measured if entry["contrast"] < MIN_CONTRAST]
    assert not [entry for entry in measured if entry["size"] < 11], "smaller text is hard to read, also in charts"


def test_the_colour_schemes_have_different_backgrounds(browser: Browser, file: Path):
    backgrounds = set()
    for scheme in ("light", "dark"):
        browser.open(file, width=1440, scheme=scheme)
        backgrounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2


def test_the_page_sends_no_request_and_the_browser_reports_no_problem(browser: Browser, file: Path):
    browser.open(file, width=1440)
    assert browser.requests == [file.as_uri()]
    assert browser.console_messages == []
    sheets = browser.evaluate("new Promise((resolve) => setTimeout(() => resolve(document.styleSheets.length), 200))")
    assert sheets == 1, "the policy allows the page's own style sheet"
    assert browser.console_messages == []


def test_a_script_in_a_name_does_not_run_and_the_policy_stops_an_injected_script(browser: Browser, tmp_path: Path):
    script = "<script>document.title = 'harm'</script>"
    report = small()
    brand = {script: report.slices["brand"]["1"], "2": report.slices["brand"]["2"]}
    version = Version(
        workload="markdown", version=8, run="r", data=report.data, revision="c", digest="d",
        report=small(slices=report.slices | {"brand": brand}),
    )  # fmt: skip
    file = tmp_path / "page.html"
    file.write_text(page(review(version=version, preview=script)), encoding="utf-8")
    browser.open(file, width=1440)
    assert browser.evaluate("document.title") == "markdown v8: gate failed, 1 of 2 rules"
    assert browser.evaluate("document.querySelectorAll('script').length") == 0
    file.write_text(page(review()).replace("<main>", f"<main>{script}"), encoding="utf-8")
    browser.open(file, width=1440)
    assert browser.evaluate("document.querySelectorAll('script').length") == 1, "this simulates an error in the escaping"
    assert browser.evaluate("document.title") == "markdown v8: gate failed, 1 of 2 rules", "the policy still stops the script"
    assert any("Content Security Policy" in message for message in browser.console_messages)


def test_the_printed_page_shows_all_figures_on_a_white_background(browser: Browser, file: Path):
    browser.open(file, width=700, scheme="dark", medium="print")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    hidden = "[...document.querySelectorAll('details tbody tr')].filter((e) => !e.checkVisibility()).length"
    assert browser.evaluate(hidden) == 0, "a reader cannot expand a collapsed table on paper"
