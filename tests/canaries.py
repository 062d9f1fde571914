"""Counters and figures of variants for tests."""

from __future__ import annotations

from collections import Counter

from delivery.trials.figures import RESTARTS, Figures

BOUNDS = (0.001, 0.01, 0.1, 1.0, float("inf"))


def counters(*, answers=(), requests=None, failures=0, refusals=0, seconds=0.0005, restarts=0):  # noqa: PLR0913 one argument for each counter
    """Returns the counters of a service.

    Args:
        answers: the predicted values, one row each.
        requests: number of requests with a prediction; by default one for each row.
        failures: number of requests with a server error.
        refusals: number of requests that the service refused.
        seconds: time in the service, the same for each request.
        restarts: number of container restarts.
    """
    answered = len(answers) if requests is None else requests
    total = answered + failures + refusals
    return {
        ("requests_total", "200"): float(answered),
        ("requests_total", "400"): float(refusals),
        ("requests_total", "500"): float(failures),
        **{("request_seconds_bucket", str(bound)): float(total if seconds <= bound else 0) for bound in BOUNDS},
        **{("answers_total", repr(value)): float(count) for value, count in Counter(map(bucket, answers)).items()},
        ("answers_sum", ""): sum(answers),
        ("answers_squares", ""): sum(value * value for value in answers),
        RESTARTS: float(restarts),
    }


def bucket(value):
    """Returns the histogram bucket of a value: its first two digits. The buckets of the service are wider."""
    return float(f"{value:.1e}")


def figures(**values):
    """Returns the figures of a service with the counters of the same arguments."""
    return Figures(counters(**values))
