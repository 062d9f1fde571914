"""Whether a canary passes: watching it beside the stable version until that can be told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from common.roles import CANARY, STABLE
from delivery.trials.comparison import compared
from delivery.trials.figures import Tally
from workloads.canary import FAILURES, RESTARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from delivery.trials.figures import Figures, Reading
    from workloads.canary import CanaryRules
    from workloads.gate import Finding

ROLES: Final = (STABLE, CANARY)
EVERY_SECONDS: Final = 2.0
ENOUGH_TO_END: Final = 20
"""Requests of the canary after which failures end the watch at once: every further one is a customer's."""
Sample = dict[str, "list[Reading]"]
"""What the services of each role say."""


class WatchOutcome(StrEnum):
    """How a watch ends. Undecided is neither: nothing was found against the canary, and too little for it."""

    passed = "passed"
    failed = "failed"
    undecided = "undecided"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was seen, and what follows."""

    outcome: WatchOutcome
    why: str
    """In a sentence."""
    findings: tuple[Finding, ...]
    figures: Mapping[str, Figures]
    """By role."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "verdict": self.outcome.value,
            "why": self.why,
            "seconds": round(self.seconds, 1),
            "findings": [finding.model_dump() for finding in self.findings],
            "figures": {role: summary(figures) for role, figures in self.figures.items()},
        }


def summary(figures: Figures) -> dict[str, float | None]:
    """A variant's figures in short. Times in milliseconds."""
    p50, p99 = (figures.quantile(share) for share in (0.5, 0.99))
    return {
        "requests": figures.requests,
        "failures": figures.failures,
        "refusals": figures.refusals,
        "p50": None if p50 is None else round(p50 * 1000, 3),
        "p99": None if p99 is None else round(p99 * 1000, 3),
        "rows": figures.rows,
        "mean": figures.mean,
        "restarts": figures.restarts,
    }


def judged(
    rules: CanaryRules, figures: Mapping[str, Figures], findings: tuple[Finding, ...], *, over: bool
) -> tuple[WatchOutcome, str] | None:
    """What follows from figures by role, and why; None where the watch has to go on. `over`: the time is up."""
    broken = [
        rule.metric for rule, found in zip(rules.rules, findings, strict=True) if found.value is not None and not found.passed
    ]
    if RESTARTS in broken:
        return WatchOutcome.failed, "a container of the canary ended and was started again"
    if FAILURES in broken and figures[CANARY].requests >= ENOUGH_TO_END:
        return WatchOutcome.failed, "the canary fails on requests, which is no time to wait"
    return _at_the_end(rules, figures, findings, broken) if over else None


def _at_the_end(
    rules: CanaryRules, figures: Mapping[str, Figures], findings: tuple[Finding, ...], broken: list[str]
) -> tuple[WatchOutcome, str]:
    for role in ROLES:
        if figures[role].requests < rules.min_requests:
            found = f"{figures[role].requests:.0f} of at least {rules.min_requests} requests reached the {role} version"
            return WatchOutcome.undecided, found
    if unknown := [found.rule for found in findings if found.value is None]:
        return WatchOutcome.undecided, f"the services do not tell what it takes for {', '.join(unknown)}"
    if broken:
        return WatchOutcome.failed, f"it does not keep to the rules on {', '.join(broken)}"
    return WatchOutcome.passed, "it keeps to all rules"


class Shown(Protocol):
    """Who is told while the watch goes on. See `delivery.trials.scoreboard`."""

    def __call__(self, figures: Mapping[str, Figures], findings: tuple[Finding, ...], seconds: float) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Looks at both variants every few seconds.

    Args:
        rules: the workload's, with what the user asked for otherwise.
        sample: asks all services.
        show: tells what there is so far.
        clock: seconds.
        sleep: waits.
    """

    rules: CanaryRules
    sample: Callable[[], Sample]
    show: Shown
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def run(self) -> Verdict:
        """Watches until it can be told what follows."""
        tallies = {role: Tally() for role in ROLES}
        begun = self.clock()
        while True:
            # Before it is asked: the figures are of at least this time.
            seconds = self.clock() - begun
            for role, readings in self.sample().items():
                tallies[role].take(readings)
            figures = {role: tally.total() for role, tally in tallies.items()}
            findings = self.rules.check(compared(figures[CANARY], figures[STABLE], self.rules.quick_seconds))
            found = judged(self.rules, figures, findings, over=seconds >= self.rules.seconds)
            if found is not None:
                outcome, why = found
                return Verdict(outcome=outcome, why=why, findings=findings, figures=figures, seconds=seconds)
            self.show(figures, findings, seconds)
            self.sleep(min(EVERY_SECONDS, max(self.rules.seconds - seconds, 0.0)))
