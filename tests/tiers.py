"""The tiers of the tests: `tests/stack_files/tiers.toml`, which no user of the product edits."""

from __future__ import annotations

from functools import cache

from infra import live_cluster
from infra.tiers import loading
from tests.harness import LIVE_CLUSTER, live_cluster_of


@cache
def tiers():
    """Returns the tiers, read once."""
    return loading.load()


def clusters_answer(monkeypatch, live=lambda: LIVE_CLUSTER, **stacks):
    """Lets the cluster of each stack file answer, as the cluster of the stack that its context is named after.

    `stacks` are the stacks of other contexts. `live` returns what each cluster says; its UID is the one of the stack, unless
    the test says another one. Returns the contexts that were asked, in order.
    """
    asked = []

    def read(settings):
        context = settings.cluster.context
        asked.append(context)
        return live_cluster_of(stacks.get(context, context), live())

    monkeypatch.setattr(live_cluster, "read", read)
    return asked


def tier_of(stack):
    """Returns a stack with its tier and its source."""
    return tiers().of(stack)
