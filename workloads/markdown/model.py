"""The model: a committee of gradient boosted trees over the log of what sells, relative to the series' own level.

What makes it better than one boosting on the same features: a price promotion is one event seen by 83 stores, so that rows are
many but events few, and trees that see all weeks learn weeks by heart. So each member sees a random half of the weeks, and is
asked for the deviation from another notion of the series' level; the committee's answer is the mean of the logs.

Chosen on three rolling windows within weeks 40 to 148 (fit up to week 112, 124 and 136, twelve weeks ahead each): squared error
of logs over absolute error, Poisson and the ratio of units; committees on halves of the weeks over one model on all of them; no
calendar, as trees over weeks did not carry over to later ones; no demographics of stores, which changed nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor

from workloads.markdown.features import FALLING, FEATURES, LEVELS, SEEN

if TYPE_CHECKING:
    import numpy.typing as npt

SEEN_COLUMNS = [FEATURES.index(name) for name in SEEN]
LEVEL_COLUMNS = [FEATURES.index(name) for name in LEVELS]
PARALLEL = 2
"""Members fitted at a time. Each is fitted by one thread (OMP_NUM_THREADS)."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is chosen about the model."""

    members: int = 8
    """A multiple of the number of LEVELS, so that each level is used alike."""
    share_of_weeks: float = 0.5
    iterations: int = 120
    learning_rate: float = 0.08
    leaves: int = 15
    least_rows_of_leaf: int = 50
    share_of_features: float = 0.3
    """Drawn anew at each split."""
    l2: float = 5.0
    bins: int = 63
    seed: int = 0

    def parameters(self) -> dict[str, int | float]:
        """For the record."""
        return asdict(self)


class Demand(RegressorMixin, BaseEstimator):
    """Ounces that a series typically sells. Input: float32 rows of `features.FEATURES`."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings

    def fit(self, x: npt.NDArray[np.float32], units: npt.NDArray[np.float64], weeks: npt.NDArray[np.int64]) -> Self:
        """Fits the members.

        Args:
            x: rows of FEATURES.
            units: ounces sold, above zero.
            weeks: of each row, by which members divide the rows.
        """
        settings = self.settings or Settings()
        draw = np.random.default_rng(settings.seed)
        distinct = np.unique(weeks)
        count = max(1, round(settings.share_of_weeks * len(distinct)))
        chosen = [np.isin(weeks, draw.choice(distinct, count, replace=False)) for _ in range(settings.members)]
        seen, logs = x[:, SEEN_COLUMNS], np.log(units)
        jobs = (
            delayed(_fitted)(seen[rows], (logs - x[:, self.level_of(number)])[rows], settings, settings.seed + number)
            for number, rows in enumerate(chosen)
        )
        self.members_: list[HistGradientBoostingRegressor] = Parallel(n_jobs=PARALLEL, prefer="threads")(jobs)
        self.n_features_in_ = x.shape[1]
        return self

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Ounces for each row."""
        seen = x[:, SEEN_COLUMNS]
        logs = [
            member.predict(seen) + x[:, self.level_of(number)].astype(np.float64) for number, member in enumerate(self.members_)
        ]
        return np.exp(np.mean(logs, axis=0))

    @staticmethod
    def level_of(member: int) -> int:
        """The column of the level that a member's answers are relative to."""
        return LEVEL_COLUMNS[member % len(LEVEL_COLUMNS)]


def _fitted(
    x: npt.NDArray[np.float32], target: npt.NDArray[np.float64], settings: Settings, seed: int
) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss="squared_error",
        max_iter=settings.iterations,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.least_rows_of_leaf,
        max_features=settings.share_of_features,
        l2_regularization=settings.l2,
        max_bins=settings.bins,
        monotonic_cst=[-1 if name in FALLING else 0 for name in SEEN],
        early_stopping=False,
        random_state=seed,
    ).fit(x, target)
