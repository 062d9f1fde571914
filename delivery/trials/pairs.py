"""The answers of two variants to the very same requests, put side by side by the request's id. Pure functions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

FAR: Final = 0.1
"""A row whose two values differ by more than this part of the larger is one that a reader wants to know about."""
_WIDEST: Final = 5


class Recorded(BaseModel):
    """An answer that a service has kept (workloads/serving/recording.py)."""

    model_config = ConfigDict(frozen=True)

    request: str
    at: float
    """Seconds since 1970."""
    rows: int
    values: list[float]
    """The first column of its first rows."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of an answer, by both variants."""

    request: str
    row: int
    stable: float
    shadow: float

    @property
    def difference(self) -> float:
        """How far the two are apart, in parts of the larger one: 0 to 1, and to 2 where the signs differ."""
        largest = max(abs(self.stable), abs(self.shadow))
        return abs(self.shadow - self.stable) / largest if largest else 0.0


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far two variants agree on the requests that both have answered."""

    requests: int
    rows: int
    mean_difference: float
    largest_difference: float
    far: float
    """Share of the rows that differ by more than `FAR`."""
    bias: float
    """By how much the shadow says more in sum, in parts of what the stable version says."""
    correlation: float | None
    """Of the values (Pearson); None where one of the two says the same to everything."""
    unlike: int
    """Requests that the two answered with different numbers of rows. Not compared."""
    widest: tuple[Row, ...]
    """The rows that differ most, if any do."""


def agreement(stable: Iterable[Recorded], shadow: Iterable[Recorded]) -> Agreement | None:
    """Compares what both have answered; None where there is nothing of the kind."""
    ours, theirs = _latest(stable), _latest(shadow)
    common = [(ours[request], theirs[request]) for request in ours if request in theirs]
    alike = [(one, other) for one, other in common if one.rows == other.rows]
    rows = [row for one, other in alike for row in _rows(one, other)]
    if not rows:
        return None
    differences = [row.difference for row in rows]
    said = sum(abs(row.stable) for row in rows)
    return Agreement(
        requests=len(alike),
        rows=len(rows),
        mean_difference=statistics.fmean(differences),
        largest_difference=max(differences),
        far=sum(difference > FAR for difference in differences) / len(rows),
        bias=sum(row.shadow - row.stable for row in rows) / said if said else 0.0,
        correlation=_correlation(rows),
        unlike=len(common) - len(alike),
        widest=tuple(row for row in sorted(rows, key=lambda row: row.difference, reverse=True)[:_WIDEST] if row.difference),
    )


def _latest(answers: Iterable[Recorded]) -> dict[str, Recorded]:
    """By request. One that was asked again, on another connection, has two answers."""
    return {answer.request: answer for answer in sorted(answers, key=lambda answer: answer.at)}


def _rows(one: Recorded, other: Recorded) -> list[Row]:
    pairs = enumerate(zip(one.values, other.values, strict=True))
    return [Row(request=one.request, row=row, stable=stable, shadow=shadow) for row, (stable, shadow) in pairs]


def _correlation(rows: list[Row]) -> float | None:
    try:
        return statistics.correlation([row.stable for row in rows], [row.shadow for row in rows])
    except statistics.StatisticsError:
        return None
