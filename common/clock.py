"""The day it is. The program and each command ask once, and hand it on: whatever depends on it is a function of it."""

from __future__ import annotations

from datetime import UTC, date, datetime


def today() -> date:
    """In UTC, so that a preview says the same wherever it runs."""
    return datetime.now(UTC).date()
