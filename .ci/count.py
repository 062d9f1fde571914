#!/usr/bin/env python3
"""Counts the tests of JUnit files, as pytest's `--junitxml` writes them.

    count.py FILE...    prints "PASSED FAILED"; ends with 1 if a file is missing or unreadable, or holds no test that ran

A test counts once, whatever happens to it: it failed if it, its setup or its teardown failed. Skipped tests do not count.
"""

import sys
from xml.etree import ElementTree as ET


def outcomes(file: str) -> dict[tuple[str | None, str | None], str]:
    """What became of each test of a file. A test that fails twice, in its body and in its teardown, is there twice."""
    found: dict[tuple[str | None, str | None], str] = {}
    for case in ET.parse(file).iter("testcase"):  # noqa: S314 pytest has just written it
        children = {child.tag for child in case}
        outcome = "failed" if children & {"failure", "error"} else "skipped" if "skipped" in children else "passed"
        test = (case.get("classname"), case.get("name"))
        found[test] = "failed" if "failed" in (outcome, found.get(test)) else outcome
    return found


passed = failed = status = 0
for file in sys.argv[1:]:
    try:
        results = list(outcomes(file).values())
    except (OSError, ET.ParseError) as error:
        print(f"{file}: no results of a whole run: {error}", file=sys.stderr)
        status = 1
        continue
    passed, failed = passed + results.count("passed"), failed + results.count("failed")
    if not set(results) & {"passed", "failed"}:
        print(f"{file}: no test ran", file=sys.stderr)
        status = 1
print(passed, failed)
sys.exit(status)
