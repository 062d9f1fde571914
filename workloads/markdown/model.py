"""The model: an ensemble of gradient boosted trees that predicts the log of units sold, relative to the level of the series.

Why it is better than a single boosting model on the same features: a price promotion is one event in 83 stores. There are many
rows but few events, so trees that are fitted to all weeks overfit to single weeks. Therefore each member is fitted to a random
half of the weeks and predicts the deviation from one of several levels of the series. The ensemble's prediction is the mean of
the members' logs.

The choices were made on three rolling origins within weeks 40 to 148 (fitted up to week 112, 124 and 136, with a horizon of
twelve weeks each). Squared error of logs was better than absolute error, Poisson loss and the ratio of units. Ensembles on
halves of the weeks were better than one model on all weeks. Calendar features are not used, because splits on weeks did not
generalise to later weeks. Demographics of stores are not used, because they changed nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor

from workloads.markdown.features import DECREASING, FEATURES, LEVELS, SPLIT_FEATURES

if TYPE_CHECKING:
    import numpy.typing as npt

SPLIT_COLUMNS = [FEATURES.index(name) for name in SPLIT_FEATURES]
LEVEL_COLUMNS = [FEATURES.index(name) for name in LEVELS]
PARALLEL = 2
"""Number of members that are fitted at the same time, each with one thread (OMP_NUM_THREADS)."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The hyperparameters of the model."""

    members: int = 8
    """A multiple of the number of LEVELS, so that each level is used equally often."""
    share_of_weeks: float = 0.5
    iterations: int = 120
    learning_rate: float = 0.08
    leaves: int = 15
    least_rows_of_leaf: int = 50
    share_of_features: float = 0.3
    """Share of the features that is drawn at random for each split."""
    l2: float = 5.0
    bins: int = 63
    seed: int = 0

    def parameters(self) -> dict[str, int | float]:
        """Returns the hyperparameters as MLflow logs them."""
        return asdict(self)


class Demand(RegressorMixin, BaseEstimator):
    """Predicts the ounces that a series typically sells. The input is float32 rows of `features.FEATURES`."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings

    def fit(self, x: npt.NDArray[np.float32], units: npt.NDArray[np.float64], weeks: npt.NDArray[np.int64]) -> Self:
        """Fits the members.

        Args:
            x: rows of FEATURES.
            units: ounces sold, greater than zero.
            weeks: the week of each row. The weeks determine which rows each member is fitted to.
        """
        settings = self.settings or Settings()
        draw = np.random.default_rng(settings.seed)
        distinct = np.unique(weeks)
        count = max(1, round(settings.share_of_weeks * len(distinct)))
        chosen = [np.isin(weeks, draw.choice(distinct, count, replace=False)) for _ in range(settings.members)]
        inputs, logs = x[:, SPLIT_COLUMNS], np.log(units)
        jobs = (
            delayed(_fit_member)(inputs[rows], (logs - x[:, self.level_of(number)])[rows], settings, settings.seed + number)
            for number, rows in enumerate(chosen)
        )
        self.members_: list[HistGradientBoostingRegressor] = Parallel(n_jobs=PARALLEL, prefer="threads")(jobs)
        self.n_features_in_ = x.shape[1]
        return self

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Returns the predicted ounces of each row."""
        inputs = x[:, SPLIT_COLUMNS]
        logs = [
            member.predict(inputs) + x[:, self.level_of(number)].astype(np.float64)
            for number, member in enumerate(self.members_)
        ]
        return np.exp(np.mean(logs, axis=0))

    @staticmethod
    def level_of(member: int) -> int:
        """Returns the column of the level to which a member's predictions are relative."""
        return LEVEL_COLUMNS[member % len(LEVEL_COLUMNS)]


def _fit_member(
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
        monotonic_cst=[-1 if name in DECREASING else 0 for name in SPLIT_FEATURES],
        early_stopping=False,
        random_state=seed,
    ).fit(x, target)
