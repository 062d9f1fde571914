#!/usr/bin/env python3
"""Counts the tests in JUnit files, as pytest's `--junitxml` writes them.

    count.py FILE...    prints "PASSED FAILED"; exits with 1 if a file is missing or unreadable, or contains no test that ran

Each test counts once. It counts as failed if the test, its setup or its teardown failed. Skipped tests do not count.
"""

import sys
from xml.etree import ElementTree as ET


def outcomes(file: str) -> dict[tuple[str | None, str | None], str]:
    """Returns the outcome of each test in a file. A test that fails in its body and in its teardown has two entries there."""
    results: dict[tuple[str | None, str | None], str] = {}
    for case in ET.parse(file).iter("testcase"):  # noqa: S314 pytest has just written the file
        children = {child.tag for child in case}
        outcome = "failed" if children & {"failure", "error"} else "skipped" if "skipped" in children else "passed"
        test = (case.get("classname"), case.get("name"))
        results[test] = "failed" if "failed" in (outcome, results.get(test)) else outcome
    return results


passed = failed = status = 0
for file in sys.argv[1:]:
    try:
        test_outcomes = list(outcomes(file).values())
    except (OSError, ET.ParseError) as error:
        print(f"{file}: no results of a complete run: {error}", file=sys.stderr)
        status = 1
        continue
    passed, failed = passed + test_outcomes.count("passed"), failed + test_outcomes.count("failed")
    if not set(test_outcomes) & {"passed", "failed"}:
        print(f"{file}: no test ran", file=sys.stderr)
        status = 1
print(passed, failed)
sys.exit(status)
