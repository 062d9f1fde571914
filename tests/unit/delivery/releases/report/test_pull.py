"""The text for a pull request."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.releases.report.model import Review, ServedVersion, Split, Traffic
from delivery.releases.report.pull import MAX_PREVIEW, code, digest_line, markdown
from tests.unit.delivery.releases.report.pages import CANARY, FAILED, PASSED, errors, review


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            review(errors(0.41), stable=ServedVersion(version=7, report=errors(0.43)), traffic=CANARY),
            "markdown v7 to v8, canary 0 to 10 %, error 0.43 to 0.41, gate passed",
        ),
        (review(errors(0.41)), "markdown v8, error 0.41, gate passed"),
        (
            review(errors(0.41), traffic=Traffic(before=None, after=Split(stable=8)), findings=(FAILED,)),
            "markdown v8, share 0 to 100 %, error 0.41, gate failed, 1 of 1 rule",
        ),
        (
            review(
                errors(0.4121),
                stable=ServedVersion(version=7, report=errors(0.4149)),
                traffic=Traffic(before=CANARY.after, after=Split(stable=8)),
            ),
            "markdown v7 to v8, share 10 to 100 %, error 0.415 to 0.412, gate passed",
        ),
        (
            review(errors(0.4), traffic=Traffic(before=Split(stable=7), after=Split(stable=7, shadow=8)), findings=()),
            "markdown v8, shadow, answers dropped, error 0.40, gate not checked",
        ),
        (
            review(errors(0.41234), stable=ServedVersion(version=7, report=errors(0.41232))),
            "markdown v7 to v8, error 0.412 as before, gate passed",
        ),
        (
            review(errors(0.4), traffic=Traffic(before=CANARY.after, after=CANARY.after)),
            "markdown v8, canary 10 % as before, error 0.40, gate passed",
        ),
    ],
)
def test_the_summary_line_describes_the_change(change: Review, line: str):
    assert digest_line(change) == line


def test_a_pull_request_shows_the_gate_the_figures_and_the_preview():
    text = markdown(
        review(errors(0.41), stable=ServedVersion(version=7, report=errors(0.43)), findings=(PASSED, FAILED), preview="+ a")
    )
    assert text.startswith("**markdown v7 to v8, error 0.43 to 0.41, gate failed, 1 of 2 rules**\n\n| rule |")
    assert "| `wape <= 0.8 x wape_mean8` | 0.500 | 0.400 | **failed** |" in text
    assert "| error | 0.410 | 0.430 |" in text
    assert "| worst brand, `1` | 0.450 | 0.450 |" in text
    assert "report `sha256:" in text
    assert "```diff\n+ a\n```" in text


@given(text=st.text())
def test_text_from_outside_stays_code_in_a_table(text: str):
    shown = code(text)
    assert shown[0] == shown[-1] == "`"
    assert not re.search(r"[`\n\r]|(?<!\\)\|", shown[1:-1])


def test_a_preview_cannot_leave_its_code_block_and_a_long_preview_is_truncated():
    text = markdown(review(preview="```\n</details>\n@everyone"))
    assert "````diff\n```\n</details>\n@everyone\n````" in text
    long = markdown(review(preview="x" * (MAX_PREVIEW + 5)))
    assert "... and 5 more characters" in long
    assert len(long) < 65_536, "GitHub refuses longer comments"
