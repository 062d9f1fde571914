"""What a workload is, as plain frozen data.

A workload is the same in every environment: what differs between them (replicas, ports) is in the stack files. This module
needs pydantic alone, so that the infrastructure program, the command and the training image can all read the same declaration.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Mapping

WorkloadName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""Also the name of the registered model and the start of Kubernetes names, hence lower case and at most 40 characters."""
Quantity = Annotated[str, Field(pattern=r"^[1-9][0-9]*(m|Ki|Mi|Gi)?$")]
"""A Kubernetes quantity, for example `500m` (half a core) or `3Gi`."""
Fingerprint = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""What identifies content: `sha256:` and 64 hexadecimal digits."""
Entry = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.]*:[a-z_][a-z0-9_]*$")]
"""A function by name, `package.module:function`. A name, because only the training environment can import it."""


class Declared(BaseModel):
    """Frozen, and without room for a misspelt key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(Declared):
    """One step of training. Steps run in the order they are declared."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    summary: str
    """What it does, in a few words, for whoever watches."""
    run: Entry
    """`function(context: workloads.run.Context) -> None`."""


class Source(Declared):
    """The data a workload is trained on. Anything else under that name is refused."""

    file: str
    """Its name in the folder `$MODELSTACK_SOURCE`."""
    fingerprint: Fingerprint
    origin: str
    """Where it comes from, for people."""


class Resources(Declared):
    """What one container asks for, and what it may not exceed. Memory has one figure: what is asked for is what is allowed."""

    cpu: Quantity
    memory: Quantity
    cpu_limit: Quantity | None = None
    """None: as much as the node has left."""


class Training(Declared):
    """What a training run needs."""

    resources: Resources
    deadline_seconds: Annotated[int, Field(gt=0)]
    """A run that takes longer is ended by the cluster."""
    scratch: Quantity
    """Size of `/tmp`, the only writable place beside the data share."""


class Serving(Declared):
    """What one replica of an endpoint's variant needs, and when there should be another."""

    resources: Resources
    workers: Annotated[int, Field(ge=1, le=16)] = 1
    """Server processes in a replica."""
    target_cpu_percent: Annotated[int, Field(ge=10, le=100)] = 70
    """Replicas are added when the mean use of the CPU asked for is above."""
    flavour: Literal["onnx", "native"] = "onnx"
    """`native` is for models that cannot be converted: they need an image locked to their training environment."""


class Rule(Declared):
    """One bound on one metric of the back-test. The bound is a number, or a number times another metric (`of`)."""

    metric: str
    at_most: float
    of: str | None = None
    """The metric that `at_most` is a multiple of: `at_most=0.8, of="wape_mean8"` asks to be a fifth better than it."""

    def __str__(self) -> str:
        return f"{self.metric} <= {self.at_most:g}" + (f" x {self.of}" if self.of else "")


class Finding(Declared):
    """What a rule found. `value` and `bound` are None where the evidence lacks the metric; such a rule has not passed."""

    rule: str
    value: float | None
    bound: float | None
    passed: bool


class Gate(Declared):
    """The rules that evidence must pass."""

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    def check(self, metrics: Mapping[str, float]) -> tuple[Finding, ...]:
        """One finding per rule, in their order. A missing or non-finite metric fails its rule: no evidence is no pass."""
        return tuple(_check(rule, metrics) for rule in self.rules)


class Workload(Declared):
    """A model and everything that belongs to it, wherever it runs."""

    name: WorkloadName
    owner: str
    """Who answers for it: a team or a mail address."""
    description: str
    source: Source
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    gate: Gate
    training: Training
    serving: Serving

    @model_validator(mode="after")
    def _steps_have_different_names(self) -> Self:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            msg = f"workload {self.name}: two steps have the same name: {', '.join(names)}"
            raise ValueError(msg)
        return self


def _check(rule: Rule, metrics: Mapping[str, float]) -> Finding:
    value = _finite(metrics.get(rule.metric))
    unit = 1.0 if rule.of is None else _finite(metrics.get(rule.of))
    bound = None if unit is None else rule.at_most * unit
    passed = value is not None and bound is not None and value <= bound
    return Finding(rule=str(rule), value=value, bound=bound, passed=passed)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
