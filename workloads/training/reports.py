"""Builds the back-test report from forecasts: the same metrics per slice for every workload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workloads.evidence import PERIOD, Report, canonical, parse, worst
from workloads.training import diagnostics
from workloads.training.metrics import bias, wape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import pandas as pd

    from workloads.context import Context
    from workloads.evidence import Drift, Response

FORECASTS = "forecasts.parquet"
REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class BacktestDescription:
    """The descriptive fields of a report: see `workloads.evidence.Report`."""

    workload: str
    data: str
    """Fingerprint of the source data."""
    data_until: str
    data_day: date | None
    learned_until: str
    method: str
    unit: str


def report(  # noqa: PLR0913 all but the first two are named
    about: BacktestDescription,
    forecasts: pd.DataFrame,
    *,
    sliced_by: Sequence[str],
    baselines: Sequence[str],
    drift: Mapping[str, Drift],
    response: Response | None = None,
) -> Report:
    """Builds the report.

    Args:
        about: the descriptive fields.
        forecasts: columns `units` (sold) and `forecast`, one column per baseline, and one per dimension of `sliced_by`.
        sliced_by: dimensions with metrics per slice. `week` must be one of them.
        baselines: names of the naive forecasts.
        drift: the drift of each feature.
        response: the price response, if the model sets prices.
    """
    slices = {
        dimension: {
            str(name): {**errors(part, baselines), "rows": float(len(part))} for name, part in forecasts.groupby(dimension)
        }
        for dimension in sliced_by
    }
    periods = tuple(slices[PERIOD])
    worst_slices = {f"wape_worst_{dimension}": worst(slices[dimension]) for dimension in sliced_by if dimension != PERIOD}
    return Report(
        workload=about.workload,
        data=about.data,
        data_until=about.data_until,
        data_day=about.data_day,
        learned_until=about.learned_until,
        method=about.method,
        unit=about.unit,
        periods=periods,
        rows=len(forecasts),
        baselines=tuple(baselines),
        metrics={**errors(forecasts, baselines), **worst_slices, "weeks": float(len(periods))},
        slices=slices,
        calibration=diagnostics.calibration(forecasts),
        response=response,
        drift=dict(drift),
    )


def errors(forecasts: pd.DataFrame, baselines: Sequence[str]) -> dict[str, float]:
    """Returns the model's WAPE and bias, and the WAPE of each baseline."""
    actual, forecast, *naive = (forecasts[name].to_numpy(np.float64) for name in ("units", "forecast", *baselines))
    by_name = {f"wape_{name}": wape(actual, values) for name, values in zip(baselines, naive, strict=True)}
    return {"wape": wape(actual, forecast), "bias": bias(actual, forecast), **by_name}


def write(context: Context, forecasts: pd.DataFrame, content: Report) -> None:
    """Writes forecasts and report for the following steps, and emits the metrics."""
    forecasts.to_parquet(context.output(FORECASTS), index=False)
    context.output(REPORT).write_bytes(canonical(content))
    for name, value in content.metrics.items():
        context.metric(name, value)


def read(context: Context) -> Report:
    """Reads the report that `write` has written."""
    return parse(context.input(REPORT).read_bytes())


def by_slice(content: Report, dimension: str) -> dict[str, float]:
    """Returns WAPE and bias of each slice of a dimension, as metrics of a run."""
    slices = content.slices[dimension].items()
    return {f"{metric}_{dimension}_{name}": errors[metric] for name, errors in slices for metric in ("wape", "bias")}
