"""The back-test report: one way to write it, and what is refused."""

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
def test_what_is_written_reads_as_what_it_was(report):
    assert parse(canonical(report)) == report


@given(value=st.floats(-1e15, 1e15))
@example(value=-0.0)
@example(value=-5e-324)
def test_rounding_twice_is_rounding_once(value: float):
    assert rounded(rounded(value)) == rounded(value), "or a report read and written again would have another digest"
    assert str(rounded(value)) != "-0.0", "which is another text than 0.0 for one number"


def test_a_report_has_one_digest_however_it_was_put_together():
    one, other = small(), small()
    turned = other.model_copy(update={"metrics": dict(reversed(other.metrics.items()))})
    assert digest(canonical(one)) == digest(canonical(turned))
    assert digest(canonical(one)) != digest(canonical(small(data=f"sha256:{'1' * 64}")))


def test_a_report_that_says_no_day_is_written_as_it_was_before_there_was_one():
    was = "sha256:efe78a8862fb8282dac62b8c066b3696343beeea0db6d7ba18d666e073905359"
    assert digest(canonical(small())) == was, "it names evidence in stack files, and approvals sign it"
    assert b"data_day" not in canonical(small())
    assert parse(canonical(small())).data_day is None


def test_a_report_that_says_the_day_of_its_data_has_one_digest_on_every_day():
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
        (changed("metrics", "weeks", value=3.0), "metrics.weeks is 3 where 2 periods"),
        (changed("metrics", "wape", value=float("nan")), "metrics.wape: .*finite"),
        (changed("metrics", "wape", value=float("inf")), "metrics.wape: .*"),
        (changed("metrics", "wape", value="low"), "metrics.wape: .*found low"),
        (changed("metrics", "wape_worst_brand", value=0.1), "wape_worst_brand is not the largest"),
        (changed("slices", "week", "149", remove=True), "slices.week are not the periods"),
        (changed("slices", "brand", "1", "wape", remove=True), "slices.brand.1 lacks wape"),
        (changed("slices", "brand", value={}), "slices.brand is empty"),
        (changed("periods", value=["149", "149"]), "periods has one twice"),
        (changed("format", value=2), "format: .*found 2"),
        (changed("opinion", value="good"), "opinion: Extra inputs"),
        (changed("data", value="sha256:00"), "data: .*sha256:00"),
        (changed("data_day", value="week 160"), "data_day: .*found week 160"),
        (changed("data_day", value="1992-02-30"), "data_day: .*found 1992-02-30"),
        (changed("data_day", value=None), "was not written as one"),
        (changed("data_day", value="1992-10-07T00:00:00"), "was not written as one"),
        (changed("data_day", value=719280000), "was not written as one"),
        (changed("metrics", "wape", value=0.30000001), "was not written as one"),
        (canonical(small()).replace(b",", b", "), "was not written as one"),
        (canonical(small()).rstrip(), "was not written as one"),
        (json.dumps({"by_brand": {}, "data": "sha256:00", "metrics": {"wape": 0.4}}).encode(), "more"),
    ],
)
def test_what_is_no_report_is_refused_with_the_reason(content: bytes, words: str):
    with pytest.raises(ReportError, match=words):
        parse(content)


@given(content=st.binary())
def test_no_content_is_too_odd_to_be_refused(content: bytes):
    with pytest.raises(ReportError):
        parse(content)


def test_evidence_imports_without_the_training_environment_or_pulumi():
    heavy = ("pandas", "numpy", "pyspark", "sklearn", "mlflow", "pulumi")
    program = f"import sys, workloads.evidence; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "the training image and the command both read it"
