"""Comparisons of a version's figures with those of the stable version and the baselines, as text or numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.releases.report import figures
from workloads.evidence import PERIOD

if TYPE_CHECKING:
    from delivery.releases.report.model import Review, ServedVersion
    from workloads.evidence import Metrics, Report

_SAME = 0.005
"""Errors with a smaller relative difference are described as about the same, because `percent` would show 0 %."""


def best_baseline(report: Report) -> tuple[str, float] | None:
    """Returns the baseline with the smallest error, and its error; None if the report has no baselines."""
    errors = [(report.metrics[f"wape_{name}"], name) for name in report.baselines]
    error, name = min(errors, default=(0.0, ""))
    return (name, error) if name else None


def caveat(review: Review) -> str | None:
    """Returns the reason why the stable version's figures may not be comparable; None if they are."""
    if review.stable is None:
        return None
    old, new, name = review.stable.report, review.version.report, f"v{review.stable.version}"
    if old.periods != new.periods:
        return f"{name} was back-tested on other {PERIOD}s ({span(old)}, not {span(new)}): the figures are not comparable."
    if old.data != new.data:
        return f"{name} was back-tested on other data of the same {PERIOD}s: compare the figures with care."
    return None


def improved_periods(review: Review) -> tuple[int, int] | None:
    """Compares the version with the stable version by period.

    Returns:
        The number of periods in which the version has the smaller error, and the number of periods that both back-tests have;
        None if they have no period in common, or no version is stable.
    """
    pairs = [
        (metrics["wape"], old["wape"])
        for period, metrics in review.version.report.slices[PERIOD].items()
        if (old := slice_of(review.stable, PERIOD, period)) is not None
    ]
    return (sum(new < old for new, old in pairs), len(pairs)) if pairs else None


def slice_of(stable: ServedVersion | None, dimension: str, name: str) -> Metrics | None:
    """Returns the metrics of a slice in the stable version's back-test; None if it has no such slice."""
    return None if stable is None else stable.report.slices.get(dimension, {}).get(name)


def span(report: Report) -> str:
    """Returns the first and the last period of a back-test, for example `149 to 160`."""
    first, last = report.periods[0], report.periods[-1]
    return first if first == last else f"{first} to {last}"


def relative(new: float, old: float) -> str | None:
    """Compares two errors: `3 % less than`, `3 % more than` or `about the same as`; None if the old error is not above zero."""
    if old <= 0:
        return None
    if abs(new / old - 1) < _SAME:
        return "about the same as"
    return f"{figures.percent(new / old - 1)} {'less' if new < old else 'more'} than"


def sorted_slices(slices: dict[str, Metrics]) -> list[tuple[str, Metrics]]:
    """Returns the slices, those with the largest error first."""
    return sorted(slices.items(), key=lambda entry: (-entry[1]["wape"], natural(entry[0])))


def natural(name: str) -> tuple[bool, float, str]:
    """Returns a sort key that puts 2 before 10, and numbers before words."""
    return (False, float(name), name) if name.isascii() and name.isdigit() and len(name) < 16 else (True, 0.0, name)  # noqa: PLR2004 floats of up to 15 digits are exact


def traffic_change(review: Review) -> str | None:
    """Describes the change of the version's share of the requests, for example `canary 0 to 10 %`; None if it is not known."""
    if review.traffic is None:
        return None
    before, after, version = review.traffic.before, review.traffic.after, review.version.version
    old_share, new_share = (split.share(version) if split else 0 for split in (before, after))
    if version == after.shadow:
        unchanged = before is not None and before.shadow == version
        return "shadow as before" if unchanged else "shadow, answers dropped"
    role = "canary" if version == after.canary else "share"
    return f"{role} {old_share} to {new_share} %" if old_share != new_share else f"{role} {new_share} % as before"
