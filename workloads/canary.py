"""The rules that decide whether a canary is promoted or removed.

The rules compare figures of the canary with figures of the stable version from the same period. Both versions get the same
kind of requests, because the router assigns requests at random. `delivery.trials.comparison` subtracts an allowance for
sampling noise before it checks the rules. So a bound is the largest difference that the workload accepts, for any number of
requests.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import Field, model_validator

from workloads.declared import Declared
from workloads.gate import Candidate, Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workloads.gate import Metrics

FAILURES: Final = "failures"
RESTARTS: Final = "restarts"
COMPARED: Final[Mapping[str, str]] = MappingProxyType(
    {
        FAILURES: "share of requests on which the service failed, minus the stable version's share",
        "refusals": "share of requests that the service refused, minus the stable version's share",
        "p50": "median response time of the service, as a multiple of the stable version's",
        "p99": "99th percentile of the response time, as a multiple of the stable version's",
        "drift": "population stability index of the predictions, against the stable version's predictions",
        "shift": "difference of the mean predictions, divided by the root mean square of the stable version's predictions",
        RESTARTS: "number of container restarts",
    }
)
"""All metrics that a rule can refer to. For each of them, smaller is better."""


class CanaryRule(Rule):
    """An upper bound on a metric of `COMPARED`, and the reason for its value."""

    why: str

    @model_validator(mode="after")
    def _refers_to_a_compared_metric(self) -> Self:
        if self.metric not in COMPARED or self.of is not None:
            found = self.metric if self.of is None else f"of={self.of}"
            msg = f"a canary's rule is a bound on one of {', '.join(COMPARED)}; found {found}"
            raise ValueError(msg)
        return self


class CanaryRules(Declared):
    """The rules that a canary must meet, the observation time, and the number of requests."""

    seconds: Annotated[int, Field(ge=1)] = 300
    """How long the canary is observed, in seconds."""
    min_requests: Annotated[int, Field(ge=1)] = 300
    """Requests that each of the two versions must have answered by then. With fewer requests there is no verdict."""
    quick_seconds: Annotated[float, Field(gt=0)] = 0.01
    """Response times up to this many seconds count as equal: nobody notices that 2 ms is twice as much as 1 ms."""
    rules: Annotated[tuple[CanaryRule, ...], Field(min_length=1)] = (
        CanaryRule(metric=FAILURES, at_most=0.01, why="no forecast is so much better that one in a hundred may be missing"),
        CanaryRule(metric="refusals", at_most=0.05, why="the new version must accept the requests that callers send today"),
        CanaryRule(metric="p50", at_most=1.5, why="the number of replicas is chosen for the stable version's time per request"),
        CanaryRule(metric="p99", at_most=2.0, why="callers time out on the slowest answers first"),
        CanaryRule(metric="drift", at_most=0.25, why="above 0.25, the predictions differ a lot: check that this is intended"),
        CanaryRule(metric="shift", at_most=0.15, why="a new version may differ in single predictions, but hardly in their sum"),
        CanaryRule(metric=RESTARTS, at_most=0, why="a service that crashes is broken, even if its answers were good"),
    )

    def check(self, compared: Metrics) -> tuple[Finding, ...]:
        """Returns one finding per rule, in the order of the rules. The note of a failed finding gives the rule's reason."""
        return tuple(_with_reason(rule, rule.check(Candidate(metrics=compared))) for rule in self.rules)


def _with_reason(rule: CanaryRule, finding: Finding) -> Finding:
    if finding.passed:
        return finding
    return finding.model_copy(update={"note": "not enough data for this metric" if finding.value is None else rule.why})
