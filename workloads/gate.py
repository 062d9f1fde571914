"""The rules that the evidence for a model version must pass before it may leave development.

A gate is a pure function of what a back-test found, of what it found for the version that is stable now, and of the data's age.
Rules are bounds on metrics; a slice has a metric of its own (`wape_worst_brand`), as has the number of back-test weeks
(`weeks`). The age of the data is no metric: it grows, and a report says the same for ever. What the evidence lacks fails its
rule: no evidence is no pass.
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
    """All that rules may ask about a version. Each asks for what matters to it."""

    metrics: Metrics
    """What the back-test found."""
    stable: Metrics | None = None
    """What it found for the version that is stable now; None where there is none."""
    age: int | None = None
    """Days since the last day of its data; None where the evidence does not say which that is."""
    served: bool = False
    """Whether the version is served already, or was and is gone back to, where that is asked."""


class Rule(Declared):
    """One bound on one metric of the back-test. The bound is a number, or a number times another metric (`of`)."""

    kind: Literal["bound"] = "bound"
    metric: str
    at_most: float | None = None
    at_least: float | None = None
    of: str | None = None
    """The metric that the number is a multiple of: `at_most=0.8, of="wape_mean8"` asks to be a fifth better than it."""

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
        """What the rule finds in the evidence."""
        value = _finite(candidate.metrics, self.metric)
        unit = 1.0 if self.of is None else _finite(candidate.metrics, self.of)
        times = self.at_most if self.at_most is not None else self.at_least
        bound = None if unit is None or times is None else times * unit
        if value is None or bound is None:
            return Finding(rule=str(self), value=value, bound=bound, passed=False, note="the evidence lacks the metric")
        passed = value <= bound if self.at_most is not None else value >= bound
        return Finding(rule=str(self), value=value, bound=bound, passed=passed)


class Regression(Declared):
    """How much worse than the version that is stable now a metric may be: `at_most=1.02` allows 2 % more.

    Both back-tests have to be of the same weeks for the comparison to be a fair one; that is the workload's concern.
    """

    kind: Literal["regression"] = "regression"
    metric: str
    at_most: Annotated[float, Field(gt=0)]

    def __str__(self) -> str:
        return f"{self.metric} <= {self.at_most:g} x {self.metric} of what is stable"

    def check(self, candidate: Candidate) -> Finding:
        """What the rule finds. Where nothing is stable, or that has no such metric, there is nothing to be worse than."""
        value = _finite(candidate.metrics, self.metric)
        before = None if candidate.stable is None else _finite(candidate.stable, self.metric)
        if value is None:
            return Finding(rule=str(self), value=None, bound=None, passed=False, note="the evidence lacks the metric")
        if before is None:
            return Finding(rule=str(self), value=value, bound=None, passed=True, note="nothing stable to compare with")
        bound = self.at_most * before
        return Finding(rule=str(self), value=value, bound=bound, passed=value <= bound)


class Age(Declared):
    """How many days ago the last day of the data may be when a version comes to where it is to be served."""

    kind: Literal["age"] = "age"
    at_most_days: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        return f"age of the data <= {self.at_most_days} days"

    def check(self, candidate: Candidate) -> Finding:
        """What the rule finds. What is served has come in time, and does not have to go because days pass."""
        age = candidate.age
        if candidate.served:
            passed, note = True, "served here already: not asked again"
        elif age is None:
            passed, note = False, "the evidence does not say of which day its data is"
        else:
            passed, note = 0 <= age <= self.at_most_days, "a day that is yet to come" if age < 0 else ""
        return Finding(rule=str(self), value=age, bound=self.at_most_days, passed=passed, note=note)


class Finding(Declared):
    """What a rule found."""

    rule: str
    value: float | None
    """None where the evidence does not tell it."""
    bound: float | None
    """None where there is none to be had: see `note`."""
    passed: bool
    note: str = ""

    def __str__(self) -> str:
        value = "nothing" if self.value is None else f"{self.value:.6g}"
        bound = "" if self.bound is None else f", bound {self.bound:.6g}"
        return f"{self.rule}: found {value}{bound}" + (f" ({self.note})" if self.note else "")


class Gate(Declared):
    """The rules that evidence must pass, all of them."""

    rules: Annotated[tuple[Annotated[Rule | Regression | Age, Field(discriminator="kind")], ...], Field(min_length=1)]

    def check(
        self, metrics: Metrics, stable: Metrics | None = None, age: int | None = None, *, served: bool = False
    ) -> tuple[Finding, ...]:
        """One finding per rule, in their order. The arguments are those of `Candidate`."""
        candidate = Candidate(metrics=metrics, stable=stable, age=age, served=served)
        return tuple(rule.check(candidate) for rule in self.rules)


def _finite(metrics: Metrics, name: str) -> float | None:
    value = metrics.get(name)
    return value if value is not None and math.isfinite(value) else None
