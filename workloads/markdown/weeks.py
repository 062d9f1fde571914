"""Which weeks are for what."""

from __future__ import annotations

FIRST = 48
"""First week to learn from: eight weeks after the panel begins, so that rows have a history."""
LAST = 148
"""Last week that anything is learned from."""
VALIDATION = 12
"""Weeks before and including LAST that the validation model is tried on, which does not see them."""
BACKTEST = range(149, 161)
"""Seen by the back-test alone. Rolling: the request for week w holds what was sold before w; the model stays that of LAST."""
