"""The weeks for training, validation and back-test."""

from __future__ import annotations

FIRST = 48
"""First week of the training data: eight weeks after the panel begins, so that rows have a history."""
LAST = 148
"""Last week of the training data."""
VALIDATION = 12
"""Number of weeks up to and including LAST on which the validation model is tested. That model is fitted to earlier weeks."""
BACKTEST = range(149, 161)
"""The hold-out set, which only the back-test uses. The origin is rolling: the request for week w contains sales before w. The
model is not refitted."""
