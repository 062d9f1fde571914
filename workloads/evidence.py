"""The back-test report: the evidence of a model version, in one format for every workload.

The training image writes the report and the command reads it, so this module imports only pydantic. A report has exactly one
serialisation, and the digest of these bytes identifies it: a later reader can prove that a report is the one that was approved.
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
"""The dimension whose slices are the periods of the back-test."""
LARGEST = 1e15
SMALLEST = 1e-12
_DIGITS = 6


class ReportError(ValueError):
    """The content is not a back-test report. The message gives the reason."""


def rounded(value: float) -> float:
    """Rounds a figure to six significant digits, as reports hold it: no false precision, and equal on every machine."""
    return float(f"{value:.{_DIGITS}g}") if abs(value) >= SMALLEST else 0.0


Figure = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False), AfterValidator(rounded)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
"""The name of a brand, a store or a feature. It comes from data, so code that displays it must escape it."""
Words = Annotated[str, Field(max_length=500)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""The name of a metric, a baseline or a dimension. Names of metrics are composed of names of baselines and dimensions."""
Metrics = dict[Identifier, Figure]


class Bin(Declared):
    """A calibration bin of forecasts of similar size: their mean, the mean of the actual values, and the number of rows."""

    forecast: Figure
    actual: Figure
    rows: Annotated[int, Field(ge=1)]


class PricePoint(Declared):
    """The model's forecasts for rows of the back-test if every price were `price` times the usual price."""

    price: Annotated[Figure, Field(gt=0)]
    units: Figure
    """Mean per row."""
    earnings: Figure
    """Mean per row."""


class Response(Declared):
    """The price response: how the model's forecasts depend on the price. For workloads that set prices."""

    earnings_unit: Words
    """For example `dollars of gross profit a week`."""
    points: Annotated[tuple[PricePoint, ...], Field(min_length=1)]


class Quantiles(Declared):
    """Quantiles of a feature's known values. They are 0 if no value is known."""

    p05: Figure
    p25: Figure
    p50: Figure
    p75: Figure
    p95: Figure
    missing: Annotated[Figure, Field(le=1)] = 0.0
    """Share of rows in which the feature is missing."""


class Drift(Declared):
    """How much a feature's distribution in the back-test differs from its distribution in the training data."""

    psi: Annotated[Figure, Field(ge=0)]
    """Population stability index: below 0.1 the distribution has changed little, above 0.25 it has changed a lot."""
    training: Quantiles
    backtest: Quantiles


class Report(Declared):
    """The evidence of one model version.

    `wape` is the sum of absolute errors divided by the sum of actual values (0 is perfect). `bias` is the sum of forecasts
    divided by the sum of actual values, minus 1. `wape_b` is the error of the baseline `b`, and `wape_worst_d` is the error of
    the worst slice of the dimension `d`.
    """

    format: Literal[1] = 1
    """Version of this format. A report with a key added or removed has another format, except for `data_day`."""
    workload: WorkloadName
    data: Fingerprint
    """Fingerprint of the source data."""
    data_until: Words
    """The last period of the source data, as a text for people."""
    data_day: date | None = None
    """The last day of the source data, as the workload declares it. If the workload declares no day, the key is absent, so that
    reports from before this key existed keep their digests."""
    learned_until: Words
    """The last period of the training data."""
    method: Words
    """How the back-test steps through the periods, for example whether the model is refitted."""
    unit: Words
    """The unit of the forecasts, for example `ounces a week`."""
    periods: Annotated[tuple[Name, ...], Field(min_length=1)]
    rows: Annotated[int, Field(ge=1)]
    baselines: tuple[Identifier, ...]
    metrics: Metrics
    """The metrics that the gate checks."""
    slices: dict[Identifier, dict[Name, Metrics]]
    calibration: tuple[Bin, ...]
    response: Response | None
    drift: dict[Name, Drift]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if contradiction := next(_contradictions(self), None):
            raise ValueError(contradiction)
        return self

    def age(self, today: date) -> int | None:
        """Days since the last day of the source data: negative if that day is in the future, None if it is unknown."""
        return None if self.data_day is None else (today - self.data_day).days


def canonical(report: Report) -> bytes:
    """Serialises a report. A report has exactly one serialisation."""
    content = report.model_dump(mode="json", exclude={"data_day"} if report.data_day is None else None)
    return (json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode()


def digest(content: bytes) -> str:
    """Returns the digest that identifies a serialised report: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def parse(content: bytes) -> Report:
    """Reads a report that `canonical` has serialised.

    Raises:
        ReportError: the content is not a report, or it is serialised differently, so that its digest is not the report's.
    """
    try:
        report = Report.model_validate_json(content)
    except ValidationError as error:
        raise ReportError(_reason(error)) from None
    if canonical(report) != content:
        msg = "the report is not serialised as reports are (order of keys, digits, spaces), so its digest is another one"
        raise ReportError(msg)
    return report


def worst(slices: dict[Name, Metrics]) -> float:
    """Returns the largest error of a dimension's slices."""
    return max(metrics["wape"] for metrics in slices.values())


def _reason(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(others)} more)" if others else ""
    found = "" if first["type"] in {"missing", "json_invalid", "value_error"} else f", found {str(first['input'])[:60]}"
    return f"{place + ': ' if place else ''}{reason}{found}{more}"


def _contradictions(report: Report) -> Iterator[str]:
    """Yields one message for each inconsistency that no back-test can produce."""
    for name in ("wape", "bias", "weeks", *(f"wape_{name}" for name in report.baselines)):
        if name not in report.metrics:
            yield f"metrics lack {name}"
    if len(set(report.periods)) != len(report.periods):
        yield "periods contains a period twice"
    if report.metrics["weeks"] != len(report.periods):
        yield f"metrics.weeks is {report.metrics['weeks']:g} but {len(report.periods)} periods are listed"
    if set(report.slices.get(PERIOD, {})) != set(report.periods):
        yield f"the slices of slices.{PERIOD} are not the periods"
    for dimension, slices in report.slices.items():
        if without_error := [name for name, metrics in slices.items() if "wape" not in metrics]:
            yield f"slices.{dimension}.{without_error[0]} lacks wape"
        if not slices:
            yield f"slices.{dimension} is empty"
        if dimension != PERIOD and report.metrics.get(f"wape_worst_{dimension}") != worst(slices):
            yield f"metrics.wape_worst_{dimension} is not the largest error in slices.{dimension}"
