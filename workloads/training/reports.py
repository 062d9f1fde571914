"""From forecasts to the report of a back-test: the same figures, slice by slice, for every workload."""

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
class About:
    """What a back-test was of, for people: see `workloads.evidence.Report`."""

    workload: str
    data: str
    """Fingerprint of the source."""
    data_until: str
    data_day: date | None
    learned_until: str
    method: str
    unit: str


def report(  # noqa: PLR0913 all but the first two are named
    about: About,
    forecasts: pd.DataFrame,
    *,
    sliced_by: Sequence[str],
    baselines: Sequence[str],
    drift: Mapping[str, Drift],
    response: Response | None = None,
) -> Report:
    """The evidence.

    Args:
        about: what the back-test was of.
        forecasts: `units`, `forecast`, a column for each baseline, and one for each of `sliced_by`, `week` among them.
        sliced_by: dimensions that have figures of their own.
        baselines: the naive forecasts.
        drift: of each feature.
        response: what a price does, where the model sets prices.
    """
    slices = {
        dimension: {
            str(name): {**errors(part, baselines), "rows": float(len(part))} for name, part in forecasts.groupby(dimension)
        }
        for dimension in sliced_by
    }
    periods = tuple(slices[PERIOD])
    worsts = {f"wape_worst_{dimension}": worst(slices[dimension]) for dimension in sliced_by if dimension != PERIOD}
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
        metrics={**errors(forecasts, baselines), **worsts, "weeks": float(len(periods))},
        slices=slices,
        calibration=diagnostics.calibration(forecasts),
        response=response,
        drift=dict(drift),
    )


def errors(forecasts: pd.DataFrame, baselines: Sequence[str]) -> dict[str, float]:
    """The model's error and bias, and the error of each baseline."""
    actual, forecast, *naive = (forecasts[name].to_numpy(np.float64) for name in ("units", "forecast", *baselines))
    by_name = {f"wape_{name}": wape(actual, values) for name, values in zip(baselines, naive, strict=True)}
    return {"wape": wape(actual, forecast), "bias": bias(actual, forecast), **by_name}


def write(context: Context, forecasts: pd.DataFrame, found: Report) -> None:
    """Leaves forecasts and report for the steps that follow, and tells the metrics."""
    forecasts.to_parquet(context.folder / FORECASTS, index=False)
    (context.folder / REPORT).write_bytes(canonical(found))
    for name, value in found.metrics.items():
        context.metric(name, value)


def read(context: Context) -> Report:
    """What `write` has left."""
    return parse((context.folder / REPORT).read_bytes())


def by_slice(found: Report, dimension: str) -> dict[str, float]:
    """Error and bias of each slice of a dimension, as metrics of a run."""
    slices = found.slices[dimension].items()
    return {f"{metric}_{dimension}_{name}": errors[metric] for name, errors in slices for metric in ("wape", "bias")}
