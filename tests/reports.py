"""Back-test reports for tests: a small one, one of realistic size, and a hypothesis strategy for all valid reports."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from workloads.evidence import Report, worst

DATA = f"sha256:{'0' * 64}"


def small(**changes: Any) -> Report:
    """Returns a report with two weeks, two brands and two stores."""
    week = {"149": _errors(0.25, 0.5, 0.4, rows=2), "150": _errors(0.35, 0.7, 0.6, rows=1)}
    brand = {"1": _errors(0.45, 0.7, 0.5, rows=2), "2": _errors(0.15, 0.6, 0.5, rows=1)}
    store = {"2": _errors(0.28, 0.6, 0.5, rows=2), "5": _errors(0.31, 0.6, 0.5, rows=1)}
    metrics = {"wape": 0.3, "bias": -0.1, "weeks": 2.0, "wape_last_week": 0.6, "wape_mean8": 0.5}
    content: dict[str, Any] = {
        "workload": "markdown",
        "data": DATA,
        "data_until": "week 160",
        "learned_until": "week 148",
        "method": "never refitted",
        "unit": "ounces a week",
        "periods": ("149", "150"),
        "rows": 3,
        "baselines": ("last_week", "mean8"),
        "metrics": {**metrics, "wape_worst_brand": 0.45, "wape_worst_store": 0.31},
        "slices": {"week": week, "brand": brand, "store": store},
        "calibration": [{"forecast": 20.0, "actual": 22.5, "rows": 2}, {"forecast": 40.0, "actual": 61.0, "rows": 1}],
        "response": {
            "earnings_unit": "dollars a week",
            "points": [{"price": 0.9, "units": 130.0, "earnings": 2.1}, {"price": 1.0, "units": 100.0, "earnings": 2.4}],
        },
        "drift": {
            "price": {"psi": 0.31, "training": _quantiles(-3.6, 0.1), "backtest": _quantiles(-3.4, 0.1)},
            "deal": {"psi": 0.02, "training": _quantiles(0.0, 0.5), "backtest": _quantiles(0.0, 0.4)},
        },
    }
    return Report.model_validate(content | changes)


def large(*, better: float = 1.0) -> Report:
    """Returns a report with 12 weeks, 11 brands and 83 stores. The model's errors are multiplied by `better`."""
    week = {str(149 + n): _slice(n, 0.38, better, 900) for n in range(12)}
    brand = {str(n): _slice(n, 0.4, better, 990) for n in range(1, 12)}
    store = {str(2 + n + n % 7 * 3): _slice(n, 0.42, better, 130) for n in range(83)}
    metrics = _errors(0.406 * better, 0.744, 0.602) | {"weeks": 12.0, "bias": -0.137}
    for dimension, slices in (("brand", brand), ("store", store)):
        metrics[f"wape_worst_{dimension}"] = worst(slices)
    prices = [0.6 + 0.05 * n for n in range(13)]
    return small(
        periods=tuple(week),
        rows=10_837,
        metrics=metrics,
        slices={"week": week, "brand": brand, "store": store},
        calibration=[
            {"forecast": 900 * 1.25**n, "actual": 900 * 1.25**n * (1.1 + 0.05 * math.sin(n)), "rows": 541 + n % 2}
            for n in range(20)
        ],
        response={
            "earnings_unit": "dollars of gross profit a week",
            "points": [
                {"price": price, "units": 9000 * price**-2.6, "earnings": 9000 * price**-2.6 * (0.04 * price - 0.026)}
                for price in prices
            ],
        },
        drift={
            name: {"psi": psi, "training": _quantiles(1.2, 0.9), "backtest": _quantiles(1.2 + psi, 0.8)}
            for name, psi in (("price", 0.31), *((f"units_median_{n}", 0.17 / (n + 1)) for n in range(40)), ("chain_same", 0.8))
        },
    )


def reports() -> st.SearchStrategy[Report]:
    """Returns a strategy that generates valid reports."""
    return _parts().map(_report)


def _slice(number: int, mean: float, better: float, rows: int) -> dict[str, float]:
    wave = 1 + 0.25 * math.sin(2.1 * number)
    return _errors(mean * wave * better, 0.72 * wave, 0.58 * wave, rows=rows + number) | {"bias": 0.2 * math.sin(number)}


def _errors(wape: float, last_week: float, mean8: float, **more: float) -> dict[str, float]:
    return {"wape": wape, "bias": -0.1, "wape_last_week": last_week, "wape_mean8": mean8, **more}


def _quantiles(middle: float, spread: float) -> dict[str, float]:
    steps = {"p05": -2, "p25": -1, "p50": 0, "p75": 1, "p95": 2}
    return {name: middle + step * spread for name, step in steps.items()} | {"missing": 0.02}


_FIGURES = st.floats(-1e15, 1e15) | st.floats(0, 1) | st.sampled_from([0.0, 1e15, -1e15, 1e-12, 5e-324])
_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(["1", "10", "<script>", "a&b", '"'])
_IDENTIFIERS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
_QUANTILES = st.fixed_dictionaries(dict.fromkeys(("p05", "p25", "p50", "p75", "p95"), _FIGURES) | {"missing": st.floats(0, 1)})


def _slices(names: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, dict[str, float]]]:
    metrics = st.fixed_dictionaries({"wape": _FIGURES}, optional={"bias": _FIGURES, "rows": _FIGURES, "wape_mean8": _FIGURES})
    return st.dictionaries(names, metrics, min_size=1, max_size=4)


def _parts() -> st.SearchStrategy[dict[str, Any]]:
    point = st.fixed_dictionaries({"price": st.floats(0.01, 10), "units": _FIGURES, "earnings": _FIGURES})
    points = st.lists(point, min_size=1, max_size=4)
    return st.fixed_dictionaries(
        {
            "data_until": st.text(max_size=20),
            "data_day": st.none() | st.dates(),
            "periods": st.lists(_NAMES, min_size=1, max_size=4, unique=True),
            "baselines": st.lists(st.sampled_from(["mean8", "last_week", "b"]), unique=True),
            "other": st.dictionaries(_IDENTIFIERS, _FIGURES, max_size=3),
            "figures": st.lists(_FIGURES, min_size=8, max_size=8),
            "slices": st.dictionaries(_IDENTIFIERS, _slices(_NAMES), max_size=3),
            "calibration": st.lists(
                st.fixed_dictionaries({"forecast": _FIGURES, "actual": _FIGURES, "rows": st.integers(1, 10**9)}), max_size=4
            ),
            "response": st.none() | st.fixed_dictionaries({"earnings_unit": st.text(max_size=20), "points": points}),
            "drift": st.dictionaries(
                _NAMES,
                st.fixed_dictionaries({"psi": st.floats(0, 1e15), "training": _QUANTILES, "backtest": _QUANTILES}),
                max_size=3,
            ),
        }
    )


def _report(parts: dict[str, Any]) -> Report:
    figures = iter(parts.pop("figures"))
    periods = tuple(parts["periods"])
    week = {name: {"wape": 0.5, "bias": 0.1, "wape_mean8": 0.6} for name in periods} | {periods[0]: {"wape": next(figures)}}
    slices = parts["slices"] | {"week": week}
    metrics = parts.pop("other") | {"wape": next(figures), "bias": next(figures), "weeks": float(len(periods))}
    metrics |= {f"wape_{name}": next(figures) for name in parts["baselines"]}
    for dimension, metrics_by_name in slices.items():
        if dimension != "week":
            metrics[f"wape_worst_{dimension}"] = worst(metrics_by_name)
    return small(**parts | {"periods": periods, "slices": slices, "metrics": metrics})
