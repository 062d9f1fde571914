"""Figures of variants for tests."""

from __future__ import annotations

from collections import Counter

from delivery.trials.figures import RESTARTS, Figures

BOUNDS = (0.001, 0.01, 0.1, 1.0, float("inf"))


def counters(*, answers=(), requests=None, failures=0, refusals=0, seconds=0.0005, restarts=0):  # noqa: PLR0913 what services tell
    """What a service tells that gave these answers, one request each unless told, and took so long for each."""
    answered = len(answers) if requests is None else requests
    total = answered + failures + refusals
    return {
        ("requests_total", "200"): float(answered),
        ("requests_total", "400"): float(refusals),
        ("requests_total", "500"): float(failures),
        **{("request_seconds_bucket", str(bound)): float(total if seconds <= bound else 0) for bound in BOUNDS},
        **{("answers_total", repr(value)): float(count) for value, count in Counter(map(place, answers)).items()},
        ("answers_sum", ""): sum(answers),
        ("answers_squares", ""): sum(value * value for value in answers),
        RESTARTS: float(restarts),
    }


def place(value):
    """Where a value is counted: two digits of it, which is narrower than the service's places."""
    return float(f"{value:.1e}")


def figures(**told):
    return Figures(counters(**told))
