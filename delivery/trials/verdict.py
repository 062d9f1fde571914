"""Watches a canary and the stable version until the canary's rules allow a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from common.roles import CANARY, STABLE
from delivery.trials.comparison import compare
from delivery.trials.figures import Tally
from workloads.canary import FAILURES, RESTARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from delivery.trials.figures import Figures, Reading
    from workloads.canary import CanaryRules
    from workloads.gate import Finding

ROLES: Final = (STABLE, CANARY)
SAMPLE_SECONDS: Final = 2.0
"""Time between two samples."""
MIN_REQUESTS_TO_FAIL: Final = 20
"""From this many requests to the canary on, too many failures end the watch at once: each further one would hit a customer."""
Sample = dict[str, "list[Reading]"]
"""One reading of each service, by role."""


class WatchOutcome(StrEnum):
    """How a watch ends. Undecided: there were too few requests or figures for a verdict."""

    passed = "passed"
    failed = "failed"
    undecided = "undecided"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of a watch."""

    outcome: WatchOutcome
    why: str
    """The reason for the outcome, in one sentence without a full stop."""
    findings: tuple[Finding, ...]
    figures: Mapping[str, Figures]
    """Figures by role."""
    seconds: float
    """Length of the watch."""

    def as_json(self) -> dict[str, Any]:
        """Returns the verdict as the JSON object that `--json` prints."""
        return {
            "verdict": self.outcome.value,
            "why": self.why,
            "seconds": round(self.seconds, 1),
            "findings": [finding.model_dump() for finding in self.findings],
            "figures": {role: summary(figures) for role, figures in self.figures.items()},
        }


def summary(figures: Figures) -> dict[str, float | None]:
    """Returns the main figures of a variant. Times are in milliseconds."""
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


def judge(
    rules: CanaryRules, figures: Mapping[str, Figures], findings: tuple[Finding, ...], *, time_is_up: bool
) -> tuple[WatchOutcome, str] | None:
    """Returns the outcome and the reason for it, or None if the watch has to continue.

    Args:
        rules: the workload's rules for canaries.
        figures: figures by role.
        findings: the findings of the rules, in their order.
        time_is_up: whether the watch has lasted as long as the rules require.
    """
    broken = [
        rule.metric
        for rule, finding in zip(rules.rules, findings, strict=True)
        if finding.value is not None and not finding.passed
    ]
    if RESTARTS in broken:
        return WatchOutcome.failed, "a container of the canary ended and was restarted"
    if FAILURES in broken and figures[CANARY].requests >= MIN_REQUESTS_TO_FAIL:
        return WatchOutcome.failed, "the canary fails on too many requests"
    return _final_outcome(rules, figures, findings, broken) if time_is_up else None


def _final_outcome(
    rules: CanaryRules, figures: Mapping[str, Figures], findings: tuple[Finding, ...], broken: list[str]
) -> tuple[WatchOutcome, str]:
    for role in ROLES:
        if figures[role].requests < rules.min_requests:
            reached = f"{figures[role].requests:.0f} requests reached the {role} version"
            return WatchOutcome.undecided, f"only {reached}, at least {rules.min_requests} are required"
    if unknown := [finding.rule for finding in findings if finding.value is None]:
        return WatchOutcome.undecided, f"the services report no figures for {', '.join(unknown)}"
    if broken:
        return WatchOutcome.failed, f"the canary does not meet the rules on {', '.join(broken)}"
    return WatchOutcome.passed, "the canary meets all rules"


class WatchDisplay(Protocol):
    """Shows the state of a watch after each sample. See `delivery.trials.scoreboard`."""

    def __call__(self, figures: Mapping[str, Figures], findings: tuple[Finding, ...], seconds: float) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Takes a sample of both variants every `SAMPLE_SECONDS` and judges the canary after each sample.

    Args:
        rules: the workload's rules for canaries, with the changes that the user has requested.
        sample: reads the counters of all services.
        show: shows the state of the watch.
        clock: returns a monotonic time in seconds.
        sleep: waits for a number of seconds.
    """

    rules: CanaryRules
    sample: Callable[[], Sample]
    show: WatchDisplay
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def run(self) -> Verdict:
        """Watches the canary until there is an outcome, at most for the time in the rules."""
        tallies = {role: Tally() for role in ROLES}
        start = self.clock()
        while True:
            # The time is read before the sample is taken: the figures then cover at least this many seconds.
            seconds = self.clock() - start
            for role, readings in self.sample().items():
                tallies[role].add(readings)
            figures = {role: tally.total() for role, tally in tallies.items()}
            findings = self.rules.check(compare(figures[CANARY], figures[STABLE], self.rules.quick_seconds))
            judgement = judge(self.rules, figures, findings, time_is_up=seconds >= self.rules.seconds)
            if judgement is not None:
                outcome, why = judgement
                return Verdict(outcome=outcome, why=why, findings=findings, figures=figures, seconds=seconds)
            self.show(figures, findings, seconds)
            self.sleep(min(SAMPLE_SECONDS, max(self.rules.seconds - seconds, 0.0)))
