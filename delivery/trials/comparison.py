"""Two variants side by side: what one does worse than the other, beyond what so few requests may show by chance.

Pure functions. Rows of one request are alike (brands of one store, weeks of one product), so that chance is told by the number
of requests and not of rows: a little more of it than there is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from workloads.canary import FAILURES, RESTARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delivery.trials.figures import Figures

DEVIATIONS: Final = 3.0
"""Standard deviations that are put down to chance: it exceeds them about once in a thousand looks."""
CLASSES: Final = 10
"""Into which answers are put to compare how they are spread, of about the same size each."""


def compared(canary: Figures, stable: Figures, quick: float) -> dict[str, float]:
    """The metrics of `workloads.canary.COMPARED`, as far as the figures tell them.

    Args:
        canary: the version that is tried.
        stable: the one beside it, in the same time.
        quick: seconds up to which times are as good as one another.
    """
    found: dict[str, float | None] = {
        FAILURES: more(canary.failures, canary.requests, stable.failures, stable.requests),
        "refusals": more(canary.refusals, canary.requests, stable.refusals, stable.requests),
        "p50": times(canary.quantile(0.5), stable.quantile(0.5), quick),
        "p99": times(canary.quantile(0.99), stable.quantile(0.99), quick),
        "drift": drift(canary, stable),
        "shift": shift(canary, stable),
        RESTARTS: canary.restarts,
    }
    return {name: value for name, value in found.items() if value is not None}


def more(part: float, of: float, other_part: float, other_of: float) -> float | None:
    """How much larger one share is than another, less what chance makes of two that are the same. None without any requests."""
    if not of or not other_of:
        return None
    pooled = (part + other_part) / (of + other_of)
    chance = DEVIATIONS * math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    return max(part / of - other_part / other_of - chance, 0.0)


def times(canary: float | None, stable: float | None, quick: float) -> float | None:
    """One time as a multiple of another; both count as at least `quick`."""
    return None if canary is None or stable is None else max(canary, quick) / max(stable, quick)


def drift(canary: Figures, stable: Figures) -> float | None:
    """The population stability index of the canary's answers against the stable version's, less what chance makes of it."""
    if not canary.rows or not stable.rows:
        return None
    pairs = classes(canary.answers, stable.answers)
    chance = _chi_square(len(pairs) - 1) * (1 / canary.answered + 1 / stable.answered)
    return max(stability(pairs) - chance, 0.0)


def classes(one: Mapping[float, float], other: Mapping[float, float]) -> list[tuple[float, float]]:
    """Two spreads over the same places as counts in at most `CLASSES` classes of neighbours, each of about the same share.

    Both spreads weigh the same, however many rows they have: a class may be large for one of them only.
    """
    totals = sum(one.values()), sum(other.values())
    found: list[tuple[float, float]] = []
    counts, share = (0.0, 0.0), 0.0
    for place in sorted({*one, *other}):
        here = one.get(place, 0.0), other.get(place, 0.0)
        counts = counts[0] + here[0], counts[1] + here[1]
        share += (here[0] / totals[0] + here[1] / totals[1]) / 2
        if share >= 1 / CLASSES:
            found.append(counts)
            counts, share = (0.0, 0.0), 0.0
    if share:
        found[-1] = found[-1][0] + counts[0], found[-1][1] + counts[1]
    return found


def stability(pairs: list[tuple[float, float]]) -> float:
    """The population stability index of counts in the same classes: 0 for the same spread, above 0.25 for quite another.

    Each class counts as if half a row more were in it, so that an empty one makes the index large and not infinite.
    """
    totals = [sum(counts) + len(pairs) / 2 for counts in zip(*pairs, strict=True)]
    shares = [((one + 0.5) / totals[0], (other + 0.5) / totals[1]) for one, other in pairs]
    return sum((one - other) * math.log(one / other) for one, other in shares)


def shift(canary: Figures, stable: Figures) -> float | None:
    """How far the means of the answers are apart, less what chance makes of it, in parts of the answers' usual size."""
    means, sizes = (canary.mean, stable.mean), (canary.size, stable.size)
    if means[0] is None or means[1] is None or sizes[0] is None or sizes[1] is None:
        return None
    variance = max(sizes[1] ** 2 - means[1] ** 2, 0.0)
    chance = DEVIATIONS * math.sqrt(variance * (1 / canary.answered + 1 / stable.answered))
    usual = sizes[1] or sizes[0]
    return max(abs(means[0] - means[1]) - chance, 0.0) / usual if usual else 0.0


def _chi_square(freedom: int) -> float:
    """What a chi-squared variable exceeds as seldom as a normal one its `DEVIATIONS` (Wilson and Hilferty, 1931)."""
    if not freedom:
        return 0.0
    part = 2 / (9 * freedom)
    return freedom * (1 - part + DEVIATIONS * math.sqrt(part)) ** 3
