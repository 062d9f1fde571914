"""The back-test report: what a version's evidence says, in one shape for every workload.

The training image writes it and the command reads it, so that this module needs pydantic alone. A report has one way to be
written, and its digest is its name: what was approved is what can be read again.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from workloads.declaration import Fingerprint, WorkloadName
from workloads.declared import Declared

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD = "week"
"""The dimension whose slices are the periods of the back-test, in their order."""
LARGEST = 1e15
SMALLEST = 1e-12
_DIGITS = 6


class ReportError(ValueError):
    """Content that is no back-test report, and why."""


def rounded(value: float) -> float:
    """A figure as reports hold it: six digits that count. It says no more than it knows, and is the same on another machine."""
    return float(f"{value:.{_DIGITS}g}") if abs(value) >= SMALLEST else 0.0


Figure = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False), AfterValidator(rounded)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
"""Of a brand, a store, a feature. It comes from data: whoever shows it, escapes it."""
Words = Annotated[str, Field(max_length=500)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""Of a metric, a baseline, a dimension. Names of metrics are made of these."""
Metrics = dict[Identifier, Figure]


class Bin(Declared):
    """Forecasts of a similar size: what they say on average, and what came."""

    forecast: Figure
    actual: Figure
    rows: Annotated[int, Field(ge=1)]


class PricePoint(Declared):
    """What the model expects of the back-test's rows if all their prices were `price` times the usual ones."""

    price: Annotated[Figure, Field(gt=0)]
    units: Figure
    """A row's mean."""
    earnings: Figure
    """A row's mean."""


class Response(Declared):
    """What the model says a price does. For workloads that set prices."""

    earnings_unit: Words
    """For example `dollars of gross profit a week`."""
    points: Annotated[tuple[PricePoint, ...], Field(min_length=1)]


class Quantiles(Declared):
    """Where a feature's known values lie; 0 where none is known."""

    p05: Figure
    p25: Figure
    p50: Figure
    p75: Figure
    p95: Figure
    missing: Annotated[Figure, Field(le=1)] = 0.0
    """Share of rows in which the feature is not known."""


class Drift(Declared):
    """How far a feature of the back-test's rows is from what the model has learned from."""

    psi: Annotated[Figure, Field(ge=0)]
    """Population stability index: below 0.1 little has changed, above 0.25 much has."""
    training: Quantiles
    backtest: Quantiles


class Report(Declared):
    """The evidence of one version.

    `wape` is the sum of absolute errors over the sum of what came (0 is perfect), `bias` what was forecast over what came, less
    one. Errors of the baseline `b` are under `wape_b`, that of the worst slice of a dimension `d` under `wape_worst_d`.
    """

    format: Literal[1] = 1
    """Of this very type. A key more or fewer is another format, `data_day` excepted."""
    workload: WorkloadName
    data: Fingerprint
    """Of the source."""
    data_until: Words
    """The last period of the source, for people."""
    data_day: date | None = None
    """The last day of the source, as the workload declares it. Where it declares none, the key is absent: reports that were
    written before there was one keep their digests."""
    learned_until: Words
    """The last period that anything was learned from."""
    method: Words
    """How the periods were gone through."""
    unit: Words
    """What is forecast, for example `ounces a week`."""
    periods: Annotated[tuple[Name, ...], Field(min_length=1)]
    rows: Annotated[int, Field(ge=1)]
    baselines: tuple[Identifier, ...]
    metrics: Metrics
    """What the gate sees."""
    slices: dict[Identifier, dict[Name, Metrics]]
    calibration: tuple[Bin, ...]
    response: Response | None
    drift: dict[Name, Drift]

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if wrong := next(_contradictions(self), None):
            raise ValueError(wrong)
        return self

    def age(self, today: date) -> int | None:
        """Days since the last day of the source, negative where that is to come; None where the report does not say it."""
        return None if self.data_day is None else (today - self.data_day).days


def canonical(report: Report) -> bytes:
    """The one way to write a report."""
    content = report.model_dump(mode="json", exclude={"data_day"} if report.data_day is None else None)
    return (json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode()


def digest(content: bytes) -> str:
    """What names a written report: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def parse(content: bytes) -> Report:
    """The report that `canonical` has written.

    Raises:
        ReportError: it is none, or was written in another way, so that its digest would not be the report's.
    """
    try:
        report = Report.model_validate_json(content)
    except ValidationError as error:
        raise ReportError(_reason(error)) from None
    if canonical(report) != content:
        msg = "it says what a report says but was not written as one (order of keys, digits, spaces): its digest names nothing"
        raise ReportError(msg)
    return report


def worst(slices: dict[Name, Metrics]) -> float:
    """The largest error of a dimension's slices."""
    return max(metrics["wape"] for metrics in slices.values())


def _reason(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(others)} more)" if others else ""
    found = "" if first["type"] in {"missing", "json_invalid", "value_error"} else f", found {str(first['input'])[:60]}"
    return f"{place + ': ' if place else ''}{reason}{found}{more}"


def _contradictions(report: Report) -> Iterator[str]:
    """What cannot be true of any back-test."""
    for name in ("wape", "bias", "weeks", *(f"wape_{name}" for name in report.baselines)):
        if name not in report.metrics:
            yield f"metrics lack {name}"
    if len(set(report.periods)) != len(report.periods):
        yield "periods has one twice"
    if report.metrics["weeks"] != len(report.periods):
        yield f"metrics.weeks is {report.metrics['weeks']:g} where {len(report.periods)} periods are named"
    if set(report.slices.get(PERIOD, {})) != set(report.periods):
        yield f"slices.{PERIOD} are not the periods"
    for dimension, slices in report.slices.items():
        if unmeasured := [name for name, metrics in slices.items() if "wape" not in metrics]:
            yield f"slices.{dimension}.{unmeasured[0]} lacks wape"
        if not slices:
            yield f"slices.{dimension} is empty"
        if dimension != PERIOD and report.metrics.get(f"wape_worst_{dimension}") != worst(slices):
            yield f"metrics.wape_worst_{dimension} is not the largest of slices.{dimension}"
