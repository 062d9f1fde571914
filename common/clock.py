"""The current date. Programs and commands read it here and pass it on, so that all other functions stay pure."""

from __future__ import annotations

from datetime import UTC, date, datetime


def today() -> date:
    """Returns the current date in UTC, so that a preview gives the same result in every time zone."""
    return datetime.now(UTC).date()
