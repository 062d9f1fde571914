"""Compares a canary with the stable version: how much worse each metric is, beyond an allowance for sampling noise.

Pure functions. The rows of one request are correlated (brands of one store, weeks of one product). Therefore the sample size is
the number of requests and not the number of rows, which makes the allowance slightly too large.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from workloads.canary import FAILURES, RESTARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delivery.trials.figures import Figures

STANDARD_ERRORS: Final = 3.0
"""The allowance for sampling noise, in standard errors. Noise alone exceeds it about once in a thousand comparisons."""
BINS: Final = 10
"""The most bins in which the distributions of predictions are compared. Each bin has about the same share of the rows."""


def compare(canary: Figures, stable: Figures, quick: float) -> dict[str, float]:
    """Returns the metrics of `workloads.canary.COMPARED`, without those for which the figures are missing.

    Args:
        canary: figures of the canary.
        stable: figures of the stable version over the same period.
        quick: seconds; all times up to this one count as equally fast.
    """
    metrics: dict[str, float | None] = {
        FAILURES: excess_share(canary.failures, canary.requests, stable.failures, stable.requests),
        "refusals": excess_share(canary.refusals, canary.requests, stable.refusals, stable.requests),
        "p50": time_ratio(canary.quantile(0.5), stable.quantile(0.5), quick),
        "p99": time_ratio(canary.quantile(0.99), stable.quantile(0.99), quick),
        "drift": drift(canary, stable),
        "shift": shift(canary, stable),
        RESTARTS: canary.restarts,
    }
    return {name: value for name, value in metrics.items() if value is not None}


def excess_share(count: float, total: float, other_count: float, other_total: float) -> float | None:
    """Returns by how much the first share exceeds the second one, minus the allowance for sampling noise; at least 0.

    The standard error is that of the difference between two samples with the same (pooled) share. Returns None if one of the
    samples is empty.
    """
    if not total or not other_total:
        return None
    pooled = (count + other_count) / (total + other_total)
    allowance = STANDARD_ERRORS * math.sqrt(pooled * (1 - pooled) * (1 / total + 1 / other_total))
    return max(count / total - other_count / other_total - allowance, 0.0)


def time_ratio(canary: float | None, stable: float | None, quick: float) -> float | None:
    """Returns the canary's time as a multiple of the stable version's time. A time below `quick` counts as `quick`."""
    return None if canary is None or stable is None else max(canary, quick) / max(stable, quick)


def drift(canary: Figures, stable: Figures) -> float | None:
    """Returns the population stability index of the canary's predictions against the stable version's predictions.

    An allowance for sampling noise is subtracted; the result is at least 0. Returns None if one of the two has no predictions.
    """
    if not canary.rows or not stable.rows:
        return None
    pairs = bin_counts(canary.histogram, stable.histogram)
    allowance = _chi_square_quantile(len(pairs) - 1) * (1 / canary.answered + 1 / stable.answered)
    return max(population_stability_index(pairs) - allowance, 0.0)


def bin_counts(one: Mapping[float, float], other: Mapping[float, float]) -> list[tuple[float, float]]:
    """Merges neighbouring buckets of two histograms into at most `BINS` bins, and returns both counts of each bin.

    Each bin has about the same share of the rows. Both histograms have the same weight, whatever their numbers of rows. A bin
    may therefore contain many rows of one histogram and few of the other.

    Args:
        one: the number of rows in each bucket, by the lower bound of the bucket.
        other: the same of the other histogram. Both histograms have the same bucket bounds.
    """
    totals = sum(one.values()), sum(other.values())
    bins: list[tuple[float, float]] = []
    counts, share = (0.0, 0.0), 0.0
    for bound in sorted({*one, *other}):
        rows = one.get(bound, 0.0), other.get(bound, 0.0)
        counts = counts[0] + rows[0], counts[1] + rows[1]
        share += (rows[0] / totals[0] + rows[1] / totals[1]) / 2
        if share >= 1 / BINS:
            bins.append(counts)
            counts, share = (0.0, 0.0), 0.0
    if share:
        bins[-1] = bins[-1][0] + counts[0], bins[-1][1] + counts[1]
    return bins


def population_stability_index(pairs: list[tuple[float, float]]) -> float:
    """Returns the population stability index of two distributions, given their counts in the same bins.

    It is 0 for equal distributions; above 0.25 the distributions differ strongly. Half a row is added to every count, so that
    an empty bin makes the index large but not infinite.
    """
    totals = [sum(counts) + len(pairs) / 2 for counts in zip(*pairs, strict=True)]
    shares = [((one + 0.5) / totals[0], (other + 0.5) / totals[1]) for one, other in pairs]
    return sum((one - other) * math.log(one / other) for one, other in shares)


def shift(canary: Figures, stable: Figures) -> float | None:
    """Returns the difference between the mean predictions, as a multiple of the root mean square of the stable predictions.

    An allowance for sampling noise is subtracted from the difference; the result is at least 0. If all stable predictions are
    0, the root mean square of the canary's predictions is used. Returns None if one of the two has no predictions.
    """
    means, sizes = (canary.mean, stable.mean), (canary.root_mean_square, stable.root_mean_square)
    if means[0] is None or means[1] is None or sizes[0] is None or sizes[1] is None:
        return None
    variance = max(sizes[1] ** 2 - means[1] ** 2, 0.0)
    allowance = STANDARD_ERRORS * math.sqrt(variance * (1 / canary.answered + 1 / stable.answered))
    unit = sizes[1] or sizes[0]
    return max(abs(means[0] - means[1]) - allowance, 0.0) / unit if unit else 0.0


def _chi_square_quantile(degrees_of_freedom: int) -> float:
    """Returns the chi-squared quantile with the tail probability of `STANDARD_ERRORS` (Wilson and Hilferty, 1931)."""
    if not degrees_of_freedom:
        return 0.0
    part = 2 / (9 * degrees_of_freedom)
    return degrees_of_freedom * (1 - part + STANDARD_ERRORS * math.sqrt(part)) ** 3
