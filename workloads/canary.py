"""The rules by which a version that is tried on part of the requests is promoted or given up.

They are asked of what was seen of the canary beside the stable version in the same time: both get the same kind of requests,
for the router draws lots. What so few requests may show by chance is taken off before a rule sees it (see
`delivery.trials.comparison`): a bound is what the workload will put up with, however many requests there were.
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
        FAILURES: "share of the requests that the service failed on, beyond the stable version's",
        "refusals": "share of the requests that the service refused, beyond the stable version's",
        "p50": "median time in the service, as a multiple of the stable version's",
        "p99": "time that one request in a hundred exceeds, as a multiple of the stable version's",
        "drift": "population stability index of what is predicted, against the stable version",
        "shift": "how far the mean of what is predicted is off, in parts of the stable version's usual (root mean square) size",
        RESTARTS: "how often containers ended and were started again",
    }
)
"""The metrics there are, all of them better when smaller."""


class CanaryRule(Rule):
    """A bound, and why it is where it is."""

    why: str

    @model_validator(mode="after")
    def _is_about_something_compared(self) -> Self:
        if self.metric not in COMPARED or self.of is not None:
            found = self.metric if self.of is None else f"of={self.of}"
            msg = f"a canary's rule is a bound on one of {', '.join(COMPARED)}; found {found}"
            raise ValueError(msg)
        return self


class CanaryRules(Declared):
    """What a canary has to keep to, for how long, and on how many requests."""

    seconds: Annotated[int, Field(ge=1)] = 300
    """How long it is watched."""
    min_requests: Annotated[int, Field(ge=1)] = 300
    """That each of the two versions has to have answered by then. With fewer nothing is decided."""
    quick_seconds: Annotated[float, Field(gt=0)] = 0.01
    """Times up to this are as good as one another: nobody notices twice as much of nothing."""
    rules: Annotated[tuple[CanaryRule, ...], Field(min_length=1)] = (
        CanaryRule(metric=FAILURES, at_most=0.01, why="no forecast is so much better that one in a hundred may be missing"),
        CanaryRule(metric="refusals", at_most=0.05, why="what callers have been sending has to be taken"),
        CanaryRule(metric="p50", at_most=1.5, why="replicas are sized for the stable version's time per request"),
        CanaryRule(metric="p99", at_most=2.0, why="callers give up on the slowest answers first"),
        CanaryRule(metric="drift", at_most=0.25, why="above 0.25 much has changed: somebody should have expected it"),
        CanaryRule(metric="shift", at_most=0.15, why="a new version may differ case by case, hardly in sum"),
        CanaryRule(metric=RESTARTS, at_most=0, why="a service that ends is broken, whatever it answered before"),
    )

    def check(self, compared: Metrics) -> tuple[Finding, ...]:
        """One finding per rule, in their order; one that failed says why the rule is there."""
        return tuple(_with_reason(rule, rule.check(Candidate(metrics=compared))) for rule in self.rules)


def _with_reason(rule: CanaryRule, found: Finding) -> Finding:
    if found.passed:
        return found
    return found.model_copy(update={"note": "nothing to tell it by" if found.value is None else rule.why})
