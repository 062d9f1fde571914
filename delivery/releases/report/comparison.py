"""What the figures of a review say beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.releases.report import figures
from workloads.evidence import PERIOD

if TYPE_CHECKING:
    from delivery.releases.report.model import Review, ServedVersion
    from workloads.evidence import Metrics, Report

_SAME = 0.005
"""Errors that differ by less would be said to differ by 0 %."""


def best_baseline(report: Report) -> tuple[str, float] | None:
    """The baseline with the smallest error, and its error."""
    errors = [(report.metrics[f"wape_{name}"], name) for name in report.baselines]
    error, name = min(errors, default=(0.0, ""))
    return (name, error) if name else None


def caveat(review: Review) -> str | None:
    """Why the figures of the stable version may not be comparable; None where they are."""
    if review.stable is None:
        return None
    old, new, name = review.stable.report, review.version.report, f"v{review.stable.version}"
    if old.periods != new.periods:
        return f"{name} was back-tested on other {PERIOD}s ({span(old)}, not {span(new)}): its figures are not comparable."
    if old.data != new.data:
        return f"{name} was back-tested on other data of the same {PERIOD}s: compare with care."
    return None


def better_in(review: Review) -> tuple[int, int] | None:
    """In how many periods the version is better than the stable one, and of how many; None without a stable version."""
    pairs = [
        (metrics["wape"], old["wape"])
        for period, metrics in review.version.report.slices[PERIOD].items()
        if (old := slice_of(review.stable, PERIOD, period)) is not None
    ]
    return (sum(new < old for new, old in pairs), len(pairs)) if pairs else None


def slice_of(stable: ServedVersion | None, dimension: str, name: str) -> Metrics | None:
    """A slice of the stable version's back-test."""
    return None if stable is None else stable.report.slices.get(dimension, {}).get(name)


def span(report: Report) -> str:
    """The periods of a back-test, in a few characters."""
    first, last = report.periods[0], report.periods[-1]
    return first if first == last else f"{first} to {last}"


def relative(new: float, old: float) -> str | None:
    """`3 % less`; None where there is no such share."""
    if old <= 0:
        return None
    if abs(new / old - 1) < _SAME:
        return "about the same"
    return f"{figures.percent(new / old - 1)} {'less' if new < old else 'more'}"


def sorted_slices(slices: dict[str, Metrics]) -> list[tuple[str, Metrics]]:
    """The worst first."""
    return sorted(slices.items(), key=lambda entry: (-entry[1]["wape"], natural(entry[0])))


def natural(name: str) -> tuple[bool, float, str]:
    """A key by which 2 comes before 10, and numbers before words."""
    return (False, float(name), name) if name.isascii() and name.isdigit() and len(name) < 16 else (True, 0.0, name)  # noqa: PLR2004 as floats are exact


def traffic_words(review: Review) -> str | None:
    """What happens to the version's share of requests: `canary 0 to 10 %`."""
    if review.traffic is None:
        return None
    before, after, version = review.traffic.before, review.traffic.after, review.version.version
    was, becomes = (split.share(version) if split else 0 for split in (before, after))
    if version == after.shadow:
        had = before is not None and before.shadow == version
        return "shadow as before" if had else "shadow, answers dropped"
    role = "canary" if version == after.canary else "share"
    return f"{role} {was} to {becomes} %" if was != becomes else f"{role} {becomes} % as before"
