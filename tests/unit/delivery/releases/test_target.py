"""What the commands about releases write, they write to a target of the stack's tier: they ask before the first write."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.releases import commands, releaser
from delivery.stacks import stack
from infra import live_cluster
from infra.live_cluster import LiveCluster
from tests.harness import UIDS
from tests.promotions import command
from tests.releases import released

SILENT = Unknown(where="https://k.example", reason="403 Forbidden")


@pytest.fixture
def copied(checkout, monkeypatch):
    """What was copied to an environment, in order."""
    made = []
    monkeypatch.setattr(commands, "_copy", lambda *_, **__: made.append("copy"))
    return made


def is_cluster(monkeypatch, uid):
    monkeypatch.setattr(live_cluster, "read", lambda _settings: LiveCluster(uid=uid, owner=Absent()))


@pytest.mark.parametrize(
    ("uid", "reason"), [(Found(UIDS["prod"]), "belongs to tier prod"), (SILENT, "403 Forbidden"), (Absent(), "kube-system")]
)
def test_promote_copies_and_writes_nothing_to_a_target_that_is_not_the_stack_s(checkout, copied, monkeypatch, uid, reason):
    is_cluster(monkeypatch, uid)
    before = checkout.file("stage").read_text()
    with pytest.raises(UserError, match=reason):
        commands.promote(command("promote", "stage"), None, 3)
    assert copied == []
    assert checkout.file("stage").read_text() == before


def test_a_dry_run_needs_no_cluster(checkout, copied, monkeypatch):
    is_cluster(monkeypatch, SILENT)
    commands.promote(command("promote", "stage", dry_run=True), None, 3)


def test_an_edit_of_the_file_alone_needs_no_cluster(checkout):
    commands.rollback(command("rollback", "stage"))
    assert checkout.block("stage")["stable"] == 3
    assert checkout.asked == [], "who reviews and edits stack files need not hold a kubeconfig; the program checks the target"


def test_an_edit_that_is_applied_asks_for_the_target_before_it_is_written(checkout, monkeypatch):
    is_cluster(monkeypatch, SILENT)
    monkeypatch.setattr(stack, "Stack", SimpleNamespace(select=lambda _name: pytest.fail("nothing may be updated")))
    with pytest.raises(UserError, match="could not be asked which cluster it is"):
        commands.rollback(command("rollback", "stage", apply=True))
    assert checkout.block("stage") == released(4, 3)


def test_release_builds_nothing_for_a_target_of_another_tier(checkout, monkeypatch):
    is_cluster(monkeypatch, Found(UIDS["prod"]))
    monkeypatch.setattr(releaser, "releaser_of", lambda _environment: pytest.fail("nothing may be built"))
    with pytest.raises(UserError, match="target of stack dev belongs to tier prod"):
        commands.release("dev", "markdown", 5, dry_run=False)
