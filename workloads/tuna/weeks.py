"""The weeks for training, validation and back-test."""

from __future__ import annotations

FIRST = 14
"""First week of the training data. The weeks before it are its past."""
LAST = 295
"""Last week of the training data."""
VALIDATION = 250
"""Last week to which the validation model is fitted. It is tested on the weeks after it, up to LAST."""
BACKTEST = range(296, 399)
"""The hold-out set, which only the back-test uses. The file contains 53 of these weeks, and for 52 of them at least one week of
the quarter before. The origin is rolling: the request for a week contains the sales until one to four weeks before. The model
is not refitted."""
AHEAD = range(1, 5)
"""Lead times: weeks from the last known week to the week to forecast."""
