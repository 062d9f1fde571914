"""The review page: complete figures, safe markup, and a text for every state."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.releases.report.document import page
from delivery.releases.report.model import Review, ServedVersion, Split, Traffic
from delivery.releases.report.pull import digest_line, markdown
from tests.reports import large, reports, small
from tests.unit.delivery.releases.report.pages import FAILED, PASSED, Page, errors, review, version
from workloads.evidence import Report, canonical, digest
from workloads.gate import Age, Candidate, Finding


def every_figure(report: Report) -> list[float]:
    """Returns all figures of a report, at any depth."""
    values: list[float] = []

    def walk(value):
        if isinstance(value, float | int):
            values.append(value)
        elif isinstance(value, dict | list):
            for part in value.values() if isinstance(value, dict) else value:
                walk(part)

    walk(report.model_dump(mode="json", exclude={"format", "rows"}))
    return values


@pytest.mark.parametrize("report", [small(), large()], ids=["small", "large"])
def test_every_figure_of_the_report_is_on_the_page(report: Report):
    shown = Page(page(review(report))).figures
    missing = {f"{value:.6g}" for value in every_figure(report)} - shown
    assert not missing, "approvers must be able to see every figure of the report"
    assert f"{report.rows:,} rows" in Page(page(review(report))).text


def test_every_name_and_identifier_is_on_the_page():
    shown = Page(page(review(large(), version=version(large(), image="sha256:77", trainer="bob@example.com")))).text
    report = large()
    names = [name for slices in report.slices.values() for name in slices] + list(report.drift) + list(report.metrics)
    identifiers = [
        "a" * 32,
        "0123abc",
        "sha256:77",
        report.data,
        "bob@example.com",
        "week 148",
        "week 160",
        digest(canonical(report)),
    ]
    assert not [name for name in names + identifiers if name not in shown]


HARMFUL = "<script>alert(1)</script>"


def harmful(text: str) -> Review:
    """Returns a review in which every text from outside is `text`."""
    report = small()
    brand = {text: report.slices["brand"]["1"], "2": report.slices["brand"]["2"]}
    week = {text: report.slices["week"]["149"], "150": report.slices["week"]["150"]}
    changed = small(
        slices=report.slices | {"brand": brand, "week": week},
        periods=(text, "150"),
        drift={text: report.drift["price"]},
        **dict.fromkeys(("unit", "method", "data_until", "learned_until"), text),
        response=report.response and report.response.model_copy(update={"earnings_unit": text}),
    )
    findings = (Finding(rule=text, value=None, bound=None, passed=False, note=text),)
    texts = dict.fromkeys(("run", "data", "revision", "image", "trainer", "approval"), text)
    reviewed = version(changed, **texts)
    return review(
        version=reviewed, stable=ServedVersion(version=7, report=report), findings=findings, preview=text, environment=text
    )


@pytest.mark.parametrize(
    "text", [HARMFUL, '"><img src=x onerror=alert(1)>', "' onmouseover='x", "</style><b>", "]]><svg onload=x>"]
)
def test_markup_in_a_name_is_shown_as_text(text: str):
    expected, shown = Page(page(harmful("x" * len(text)))), Page(page(harmful(text)))
    assert [tag for tag, _ in shown.tags] == [tag for tag, _ in expected.tags], "a name adds no element"
    assert [set(attrs) for _, attrs in shown.tags] == [set(attrs) for _, attrs in expected.tags], "a name adds no attribute"
    assert shown.text.count(text) > 10, "the name is shown as it is"


def test_a_page_has_no_script_and_a_policy_that_forbids_scripts_and_downloads():
    source = page(harmful(HARMFUL))
    (policy,) = [meta["content"] for meta in Page(source).attributes_of("meta") if meta.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy
    assert "<script" not in source
    addresses = [value for _, attrs in Page(source).tags for name, value in attrs.items() if name in {"href", "src"}]
    assert all(address.startswith(("#", "data:,")) for address in addresses), "the page needs no other file"
    assert "url(" not in page_style(source)
    assert "@import" not in page_style(source)


def page_style(source: str) -> str:
    return source[source.index("<style>") : source.index("</style>")]


def test_characters_that_hide_or_reverse_text_become_visible():
    shown = page(harmful("safe\u202etxt.exe\x1b[31m\x00"))
    assert not set("\u202e\x1b\x00") & set(shown)
    assert "safe�txt.exe�[31m�" in shown


def test_the_verdict_counts_all_rules():
    assert "Gate passed" in page(review(findings=(PASSED, PASSED)))
    assert "Gate failed, 1 of 2 rules" in page(review(findings=(PASSED, FAILED)))
    unchecked = review(findings=())
    assert "Gate not checked" in page(unchecked)
    assert not unchecked.passed, "a version does not pass without a gate"


def test_the_gate_shows_the_result_of_each_rule():
    missing = Finding(rule="wape_worst_store <= 0.6", value=None, bound=0.6, passed=False, note="the evidence lacks the metric")
    source = page(review(findings=(PASSED, FAILED, missing)))
    gate = source[source.index('id="gate"') : source.index('id="periods"')]
    rows = [Page(row).text for row in re.findall(r"<tr.*?</tr>", gate)[1:4]]
    assert rows == [
        "wape <= 0.420.4100.420passed",
        "wape <= 0.8 x wape_mean80.5000.400failed",
        "wape_worst_store <= 0.6the evidence lacks the metric–0.600failed",  # noqa: RUF001 an empty cell
    ]


def test_the_last_day_of_the_data_and_its_age_are_on_the_page_and_in_the_pull_request():
    rule = Age(at_most_days=90)
    old = rule.check(Candidate(metrics={}, age=120))
    shown = review(small(data_day="1992-10-07"), findings=(PASSED, old))
    assert "last day of the data1992-10-07" in Page(page(shown)).text
    assert "age of the data <= 90 days12090failed" in Page(page(shown)).text
    assert "| `age of the data <= 90 days` | 120 | 90 | **failed** |" in markdown(shown)
    assert "last day of the data" not in page(review()), "the page does not invent a day"
    unknown = review(findings=(rule.check(Candidate(metrics={})),))
    assert "the evidence does not state the last day of its data" in Page(page(unknown)).text


def test_the_page_says_that_there_is_no_stable_version_to_compare_with():
    shown = Page(page(review())).text
    assert "There is no report of another stable version to compare with." in shown
    assert "so only the baselines are compared" in shown
    assert "v7" not in shown


def test_the_version_is_compared_with_the_stable_one():
    shown = Page(page(review(large(better=0.9), stable=ServedVersion(version=7, report=large())))).text
    assert "The error is 0.365 over 12 weeks (149 to 160). " in shown
    assert "This is 10 % less than the error of the stable version, v7 (0.406)." in shown
    assert "This is 39 % less than the error of the best baseline, mean8 (0.602)." in shown
    assert "The error is smaller than that of v7 in 12 of 12 weeks." in shown
    assert "not comparable" not in shown
    close = page(review(errors(0.3001), stable=ServedVersion(version=7, report=errors(0.3))))
    assert "This is about the same as the error of the stable version, v7 (0.300)." in close, (
        "the errors differ, but by less than 1 %"
    )
    assert "The error is smaller than that of v7 in 0 of 12 weeks." in page(
        review(large(), stable=ServedVersion(version=7, report=large()))
    ), "an equal error is not smaller"


def test_the_page_warns_if_the_stable_version_was_tested_on_other_weeks_or_data():
    moved = small(periods=("150", "151"), slices=small().slices | {"week": {"150": {"wape": 0.2}, "151": {"wape": 0.3}}})
    shown = Page(page(review(stable=ServedVersion(version=7, report=moved)))).text
    assert "v7 was back-tested on other weeks (150 to 151, not 149 to 150): the figures are not comparable." in shown
    assert "The error is smaller than that of v7 in 0 of 1 week." in shown, "only weeks of both back-tests count"
    other = small(data=f"sha256:{'1' * 64}")
    assert "on other data of the same weeks" in page(review(stable=ServedVersion(version=7, report=other)))
    never = small(periods=("1", "2"), slices=small().slices | {"week": {"1": {"wape": 0.2}, "2": {"wape": 0.3}}})
    assert "v7 was back-tested on none of these weeks" in page(review(stable=ServedVersion(version=7, report=never)))


def test_the_page_warns_if_the_report_was_made_with_other_data():
    assert "The report was made with other data than the version" in page(review(version=version(small(), data="sha256:11")))


def test_slices_are_sorted_and_the_worst_is_marked():
    source = page(review())
    part = source[source.index('id="by-brand"') : source.index('id="by-store"')]
    names = [Page(row).text for row in re.findall(r'<th scope="row">.*?</th>', part)]
    assert names == ["1 worst", "2"]
    assert (
        "The error ranges from 0.150 (brand 2) to 0.450 (brand 1). 1 of 2 brands are above the overall error of 0.300."
        in source
    )


def test_a_workload_without_prices_has_no_price_response():
    source = page(review(small(response=None)))
    assert "Price response" not in source
    assert "Price response" in page(review())


@pytest.mark.parametrize(
    ("preview", "text"),
    [
        (None, "No preview of stage was run for this page."),
        (" \n", "The preview of stage shows no changes."),
        ("+ a & <b>\r\n~ c", "The changes that the preview of stage shows."),
    ],
)
def test_the_page_describes_the_preview_in_each_state(preview: str | None, text: str):
    source = page(review(preview=preview, environment="stage"))
    assert text in source
    if preview and preview.strip():
        assert '<span class="added">+ a &amp; &lt;b&gt;\n</span><span class="changed">~ c</span>' in source


def test_tables_have_headers_charts_have_descriptions_and_ids_are_unique():
    shown = Page(page(review(large(), stable=ServedVersion(version=7, report=large()))))
    assert all(header.get("scope") in {"col", "row"} for header in shown.attributes_of("th"))
    assert len(shown.attributes_of("caption")) == len(shown.attributes_of("table"))
    ids = [attrs["id"] for _, attrs in shown.tags if "id" in attrs]
    assert len(ids) == len(set(ids)), "otherwise a chart has the description of another chart"
    for chart in shown.attributes_of("svg"):
        labels = chart.get("aria-labelledby", "").split()
        assert chart.get("aria-hidden") == "true" or (len(labels) == 2 and set(labels) <= set(ids))
    links = [link["href"].removeprefix("#") for link in shown.attributes_of("a")]
    assert set(links) <= set(ids), "each link has a target on the page"
    assert shown.attributes_of("html") == [{"lang": "en"}]


_TEXTS = st.none() | st.text(max_size=40)
_FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_FINDINGS = st.builds(Finding, rule=st.text(), note=st.text(), passed=st.booleans(), value=_FLOATS, bound=_FLOATS)
_SPLITS = st.builds(
    Split,
    stable=st.none() | st.integers(7, 8),
    canary=st.none() | st.just(8),
    percent=st.integers(0, 100),
    shadow=st.none() | st.just(8),
)
_REVIEWS = st.builds(
    Review,
    version=st.builds(version, reports(), image=_TEXTS, trainer=_TEXTS, run=st.text()),
    stable=st.none() | st.builds(ServedVersion, version=st.just(7), report=reports()),
    findings=st.lists(_FINDINGS, max_size=3).map(tuple),
    environment=_TEXTS,
    traffic=st.none() | st.builds(Traffic, before=st.none() | _SPLITS, after=_SPLITS),
    preview=_TEXTS,
)


@settings(max_examples=60)
@given(generated=_REVIEWS)
def test_every_review_gives_a_page_with_finite_positions(generated: Review):
    source = page(generated)
    source.encode()
    for tag, attrs in Page(source).tags:
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "d", "points", "transform"):
            value = attrs.get(name, "") if tag != "meta" else ""
            assert not re.search(r"nan|inf|e[+-]?\d{2}", value, re.IGNORECASE), f"{tag} {name}={value}"
            assert not (name in {"width", "height"} and value.startswith("-")), "browsers do not draw a negative width"
    markdown(generated).encode()
    assert "\n" not in digest_line(generated)


@pytest.mark.parametrize("when", [None, "2026-11-25T22:57:12Z by t@example.com"])
def test_the_page_says_whether_the_back_test_was_repeated(when):
    text = Page(page(review(version=version(small(), confirmed=when)))).text
    assert (when or "not since training") in text
