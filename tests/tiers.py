"""The tiers of the tests: `tests/stack_files/tiers.toml`, which no user of the product edits."""

from __future__ import annotations

from functools import cache

from infra.tiers import loading


@cache
def tiers():
    """Returns the tiers, read once."""
    return loading.load()


def tier_of(stack):
    """Returns a stack with its tier and its source."""
    return tiers().of(stack)
