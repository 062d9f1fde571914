"""The back-test report: its only serialisation, and the content that is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.reports import reports, small
from workloads.evidence import ReportError, canonical, digest, parse, rounded


@given(report=reports())
def test_parsing_a_serialised_report_returns_the_same_report(report):
    assert parse(canonical(report)) == report


@given(value=st.floats(-1e15, 1e15))
@example(value=-0.0)
@example(value=-5e-324)
def test_rounding_twice_is_rounding_once(value: float):
    assert rounded(rounded(value)) == rounded(value), (
        "otherwise a report that is parsed and serialised again would have another digest"
    )
    assert str(rounded(value)) != "-0.0", "-0.0 and 0.0 are one number with two texts"


def test_the_digest_of_a_report_does_not_depend_on_the_order_of_its_metrics():
    one, other = small(), small()
    reordered = other.model_copy(update={"metrics": dict(reversed(other.metrics.items()))})
    assert digest(canonical(one)) == digest(canonical(reordered))
    assert digest(canonical(one)) != digest(canonical(small(data=f"sha256:{'1' * 64}")))


def test_a_report_without_the_day_of_its_data_keeps_its_digest_from_before_that_key_existed():
    before = "sha256:efe78a8862fb8282dac62b8c066b3696343beeea0db6d7ba18d666e073905359"
    assert digest(canonical(small())) == before, "stack files identify evidence by this digest, and approvals sign it"
    assert b"data_day" not in canonical(small())
    assert parse(canonical(small())).data_day is None


def test_the_digest_of_a_report_with_the_day_of_its_data_does_not_depend_on_today():
    report = small(data_day="1992-10-07")
    content = canonical(report)
    assert b'"data_day":"1992-10-07"' in content
    assert digest(canonical(parse(content))) == digest(content)
    assert digest(content) != digest(canonical(small(data_day="1992-10-08")))
    assert [report.age(day) for day in (date(1992, 10, 6), date(1992, 10, 7), date(1993, 10, 7))] == [-1, 0, 365]
    assert small().age(date(1993, 10, 7)) is None


def changed(*path: str | int, value: object = None, remove: bool = False) -> bytes:
    content = json.loads(canonical(small()))
    *parents, last = path
    place = content
    for part in parents:
        place = place[part]
    if remove:
        del place[last]
    else:
        place[last] = value
    return (json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n").encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[1]", "should be"),
        (b"[" * 100_000, "Invalid JSON"),
        (changed("metrics", "wape", remove=True), "metrics lack wape"),
        (changed("metrics", "wape_mean8", remove=True), "metrics lack wape_mean8"),
        (changed("metrics", "weeks", value=3.0), "metrics.weeks is 3 but 2 periods"),
        (changed("metrics", "wape", value=float("nan")), "metrics.wape: .*finite"),
        (changed("metrics", "wape", value=float("inf")), "metrics.wape: .*"),
        (changed("metrics", "wape", value="low"), "metrics.wape: .*found low"),
        (changed("metrics", "wape_worst_brand", value=0.1), "wape_worst_brand is not the largest error"),
        (changed("slices", "week", "149", remove=True), "slices of slices.week are not the periods"),
        (changed("slices", "brand", "1", "wape", remove=True), "slices.brand.1 lacks wape"),
        (changed("slices", "brand", value={}), "slices.brand is empty"),
        (changed("periods", value=["149", "149"]), "periods contains a period twice"),
        (changed("format", value=2), "format: .*found 2"),
        (changed("opinion", value="good"), "opinion: Extra inputs"),
        (changed("data", value="sha256:00"), "data: .*sha256:00"),
        (changed("data_day", value="week 160"), "data_day: .*found week 160"),
        (changed("data_day", value="1992-02-30"), "data_day: .*found 1992-02-30"),
        (changed("data_day", value=None), "not serialised as reports are"),
        (changed("data_day", value="1992-10-07T00:00:00"), "not serialised as reports are"),
        (changed("data_day", value=719280000), "not serialised as reports are"),
        (changed("metrics", "wape", value=0.30000001), "not serialised as reports are"),
        (canonical(small()).replace(b",", b", "), "not serialised as reports are"),
        (canonical(small()).rstrip(), "not serialised as reports are"),
        (json.dumps({"by_brand": {}, "data": "sha256:00", "metrics": {"wape": 0.4}}).encode(), "more"),
    ],
)
def test_content_that_is_not_a_report_is_refused_with_the_reason(content: bytes, words: str):
    with pytest.raises(ReportError, match=words):
        parse(content)


@given(content=st.binary())
def test_arbitrary_bytes_are_refused_with_a_report_error(content: bytes):
    with pytest.raises(ReportError):
        parse(content)


def test_evidence_imports_no_training_package_and_no_pulumi():
    heavy = ("pandas", "numpy", "pyspark", "sklearn", "mlflow", "pulumi")
    program = f"import sys, workloads.evidence; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "the training image and the command both import this module"
