"""Runs the tests of the faults, and prints for each outside thing and fault how many commands were safe.

python -m tests.faults
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.injector import Fault
from tests.faults.things import things

_ID = re.compile(r"\[(?P<scenario>.+) \| (?P<thing>.+) \| (?P<fault>.+)\]$")


class Table:
    """A plugin of pytest that counts the combinations by thing and fault."""

    def __init__(self) -> None:
        self.safe, self.unsafe = Counter[tuple[str, str]](), Counter[tuple[str, str]]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = _ID.search(report.nodeid)
        if found is not None and (report.when == "call" or report.failed):
            counted = self.safe if report.passed else self.unsafe
            counted[found["thing"], found["fault"]] += 1

    def lines(self) -> list[str]:
        head = ["asked", *Fault, "sum"]
        rows = [[thing, *(self._cell(thing, fault) for fault in Fault), self._sum(thing)] for thing in things()]
        table = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        total = f"{self.safe.total()} of {self.safe.total() + self.unsafe.total()} combinations are safe:"
        promise = "nothing changed, and there was one clear message."
        return [*(f"| {' | '.join(row)} |" for row in table), "", f"{total} {promise}"]

    def _cell(self, thing: str, fault: str) -> str:
        unsafe = self.unsafe[thing, fault]
        return f"{self.safe[thing, fault]}{f' (and {unsafe} UNSAFE)' if unsafe else ''}"

    def _sum(self, thing: str) -> str:
        return str(sum(count for (name, _), count in self.safe.items() if name == thing))


if __name__ == "__main__":
    table = Table()
    code = pytest.main(["-q", "--no-header", "--tb=short", str(Path(__file__).parent), *sys.argv[1:]], plugins=[table])
    print("\n".join(["", *table.lines()]))
    sys.exit(code)
