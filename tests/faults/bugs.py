"""The combinations that fail today, grouped by the bug behind them. Each must fail: whoever mends a bug removes its entry.

There is none at the moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.faults.injector import Fault


@dataclass(frozen=True, kw_only=True)
class Bug:
    """Why combinations of a kind of thing, of faults and of scenarios fail. Without scenarios, all of them do."""

    reason: str
    thing: str
    """The beginning of the thing's name."""
    faults: frozenset[Fault] = frozenset(Fault)
    scenarios: frozenset[str] = frozenset()

    def matches(self, scenario: str, thing: str, fault: Fault) -> bool:
        named = not self.scenarios or scenario in self.scenarios
        return named and thing.startswith(self.thing) and fault in self.faults


BUGS: Final[tuple[Bug, ...]] = ()


def bug_of(scenario: str, thing: str, fault: Fault) -> Bug | None:
    """Returns the bug because of which a combination fails, or None if it must not fail."""
    return next((bug for bug in BUGS if bug.matches(scenario, thing, fault)), None)
