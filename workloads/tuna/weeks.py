"""Which weeks are for what."""

from __future__ import annotations

FIRST = 14
"""First week to learn from: the weeks before are its past."""
LAST = 295
"""Last week that anything is learned from."""
VALIDATION = 250
"""Last week that the validation model learns from; it is tried on those up to LAST."""
BACKTEST = range(296, 399)
"""Seen by the back-test alone. The file knows 53 of them, and of 52 something of the quarter before. The request for a week
holds what was sold up to one to four weeks before; the model stays that of LAST."""
AHEAD = range(1, 5)
"""Weeks between the last one that is known and the one that is asked for."""
