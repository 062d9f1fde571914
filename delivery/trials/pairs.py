"""Compares the recorded answers of two variants to the same requests; the request's id pairs the answers. Pure functions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGE_DIFFERENCE: Final = 0.1
"""A row counts as different if its two values differ by more than this fraction of the larger one."""
_WIDEST_ROWS: Final = 5


class RecordedAnswer(BaseModel):
    """An answer that a service has recorded (workloads/serving/recording.py)."""

    model_config = ConfigDict(frozen=True)

    request: str
    """Id of the request."""
    at: float
    """Time of the answer, in seconds since 1970."""
    rows: int
    """Number of rows of the answer."""
    values: list[float]
    """First column of the first rows; the service does not record all rows of a long answer."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the answers of both variants to one request."""

    request: str
    row: int
    stable: float
    shadow: float

    @property
    def difference(self) -> float:
        """The difference as a fraction of the larger value: from 0 to 1, and up to 2 if the signs differ."""
        largest = max(abs(self.stable), abs(self.shadow))
        return abs(self.shadow - self.stable) / largest if largest else 0.0


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well two variants agree on the requests that both have answered."""

    requests: int
    """Number of compared requests."""
    rows: int
    """Number of compared rows."""
    mean_difference: float
    """Mean of `Row.difference`."""
    largest_difference: float
    """Maximum of `Row.difference`."""
    far: float
    """Share of the rows that differ by more than `LARGE_DIFFERENCE`."""
    bias: float
    """The shadow's sum minus the stable version's sum, as a fraction of the sum of the stable version's absolute values."""
    correlation: float | None
    """Pearson correlation of the values; None if one of the variants has the same value in every row, or there is one row."""
    unlike: int
    """Number of requests whose answers have different numbers of rows. These are not compared."""
    widest: tuple[Row, ...]
    """The rows with the largest differences, without rows that are equal."""


def agreement(stable: Iterable[RecordedAnswer], shadow: Iterable[RecordedAnswer]) -> Agreement | None:
    """Compares the answers to the requests that both variants have answered. Returns None if there are no such rows."""
    by_stable, by_shadow = _latest(stable), _latest(shadow)
    common = [(by_stable[request], by_shadow[request]) for request in by_stable if request in by_shadow]
    comparable = [(one, other) for one, other in common if one.rows == other.rows]
    rows = [row for one, other in comparable for row in _rows(one, other)]
    if not rows:
        return None
    differences = [row.difference for row in rows]
    stable_sum = sum(abs(row.stable) for row in rows)
    widest = sorted(rows, key=lambda row: row.difference, reverse=True)[:_WIDEST_ROWS]
    return Agreement(
        requests=len(comparable),
        rows=len(rows),
        mean_difference=statistics.fmean(differences),
        largest_difference=max(differences),
        far=sum(difference > LARGE_DIFFERENCE for difference in differences) / len(rows),
        bias=sum(row.shadow - row.stable for row in rows) / stable_sum if stable_sum else 0.0,
        correlation=_correlation(rows),
        unlike=len(common) - len(comparable),
        widest=tuple(row for row in widest if row.difference),
    )


def _latest(answers: Iterable[RecordedAnswer]) -> dict[str, RecordedAnswer]:
    """Returns the latest answer to each request. A request has two answers if it was repeated on another connection."""
    return {answer.request: answer for answer in sorted(answers, key=lambda answer: answer.at)}


def _rows(stable: RecordedAnswer, shadow: RecordedAnswer) -> list[Row]:
    pairs = enumerate(zip(stable.values, shadow.values, strict=True))
    return [Row(request=stable.request, row=row, stable=one, shadow=other) for row, (one, other) in pairs]


def _correlation(rows: list[Row]) -> float | None:
    try:
        return statistics.correlation([row.stable for row in rows], [row.shadow for row in rows])
    except statistics.StatisticsError:
        return None
