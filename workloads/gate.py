"""The rules that the evidence of a model version must pass before the version may leave development.

A gate is a pure function of the metrics of the version's back-test, the metrics of the version that is stable now, and the age
of the data. Rules are bounds on metrics. The worst slice of a dimension has its own metric (`wape_worst_brand`), and so has the
number of back-test weeks (`weeks`). The age of the data is not a metric, because the age grows while a report never changes. A
rule fails if the evidence lacks its metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from workloads.declared import Declared

Metrics = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The facts about a version that rules can check."""

    metrics: Metrics
    """The metrics of its back-test."""
    stable: Metrics | None = None
    """The metrics of the version that is stable now. None if no version is stable."""
    age: int | None = None
    """Days since the last day of its data. None if the evidence does not state that day."""
    served: bool = False
    """Whether the environment already serves the version, or served it before and rolls back to it."""


class Rule(Declared):
    """One bound on one metric of the back-test. The bound is a number, or a number times another metric (`of`)."""

    kind: Literal["bound"] = "bound"
    metric: str
    at_most: float | None = None
    at_least: float | None = None
    of: str | None = None
    """The metric by which the number is multiplied: `at_most=0.8, of="wape_mean8"` requires a fifth less."""

    @model_validator(mode="after")
    def _has_one_bound(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            msg = f"a rule on {self.metric} has one bound: at_most or at_least, for example at_most=0.42"
            raise ValueError(msg)
        return self

    def __str__(self) -> str:
        bound = f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"
        return f"{self.metric} {bound}" + (f" x {self.of}" if self.of else "")

    def check(self, candidate: Candidate) -> Finding:
        """Compares the metric with the bound."""
        value = _finite(candidate.metrics, self.metric)
        unit = 1.0 if self.of is None else _finite(candidate.metrics, self.of)
        times = self.at_most if self.at_most is not None else self.at_least
        bound = None if unit is None or times is None else times * unit
        if value is None or bound is None:
            return Finding(rule=str(self), value=value, bound=bound, passed=False, note="the evidence lacks the metric")
        passed = value <= bound if self.at_most is not None else value >= bound
        return Finding(rule=str(self), value=value, bound=bound, passed=passed)


class Regression(Declared):
    """A bound on a metric relative to the version that is stable now: `at_most=1.02` allows 2 % more.

    The comparison is fair only if both back-tests cover the same weeks. The workload is responsible for that.
    """

    kind: Literal["regression"] = "regression"
    metric: str
    at_most: Annotated[float, Field(gt=0)]

    def __str__(self) -> str:
        return f"{self.metric} <= {self.at_most:g} x {self.metric} of the stable version"

    def check(self, candidate: Candidate) -> Finding:
        """Compares the metric with the stable version's. Passes if no version is stable, or if it lacks the metric."""
        value = _finite(candidate.metrics, self.metric)
        stable = None if candidate.stable is None else _finite(candidate.stable, self.metric)
        if value is None:
            return Finding(rule=str(self), value=None, bound=None, passed=False, note="the evidence lacks the metric")
        if stable is None:
            return Finding(rule=str(self), value=value, bound=None, passed=True, note="no stable version to compare with")
        bound = self.at_most * stable
        return Finding(rule=str(self), value=value, bound=bound, passed=value <= bound)


class Age(Declared):
    """A bound on the age of the data, in days, when a version enters an environment for the first time."""

    kind: Literal["age"] = "age"
    at_most_days: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        return f"age of the data <= {self.at_most_days} days"

    def check(self, candidate: Candidate) -> Finding:
        """Compares the age with the bound. A version that is already served passes: it met the bound when it entered."""
        age = candidate.age
        if candidate.served:
            passed, note = True, "already served here: not checked again"
        elif age is None:
            passed, note = False, "the evidence does not state the last day of its data"
        else:
            passed, note = 0 <= age <= self.at_most_days, "a day in the future" if age < 0 else ""
        return Finding(rule=str(self), value=age, bound=self.at_most_days, passed=passed, note=note)


class Finding(Declared):
    """The result of one rule."""

    rule: str
    value: float | None
    """None if the evidence lacks it."""
    bound: float | None
    """None if no bound can be computed; `note` gives the reason."""
    passed: bool
    note: str = ""

    def __str__(self) -> str:
        value = "nothing" if self.value is None else f"{self.value:.6g}"
        bound = "" if self.bound is None else f", bound {self.bound:.6g}"
        return f"{self.rule}: found {value}{bound}" + (f" ({self.note})" if self.note else "")


class Gate(Declared):
    """The rules of a workload. Evidence must pass all of them."""

    rules: Annotated[tuple[Annotated[Rule | Regression | Age, Field(discriminator="kind")], ...], Field(min_length=1)]

    def check(
        self, metrics: Metrics, stable: Metrics | None = None, age: int | None = None, *, served: bool = False
    ) -> tuple[Finding, ...]:
        """Returns one finding per rule, in the order of the rules. The arguments are those of `Candidate`."""
        candidate = Candidate(metrics=metrics, stable=stable, age=age, served=served)
        return tuple(rule.check(candidate) for rule in self.rules)


def _finite(metrics: Metrics, name: str) -> float | None:
    value = metrics.get(name)
    return value if value is not None and math.isfinite(value) else None
