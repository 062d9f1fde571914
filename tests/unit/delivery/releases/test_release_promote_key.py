"""The commands release, promote, canary, shadow and key: refusals, dry runs and what they print."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from common import paths
from common.errors import UserError
from delivery.releases import approval_keys, commands, releaser, user
from delivery.releases.release_command import ReleaseCommand
from delivery.stacks import lock
from infra.tiers import loading
from tests.promotions import FakeModelRegistry, command
from tests.releases import approved, released


@pytest.fixture
def releases(checkout, monkeypatch):
    """The calls of the releaser: workload, version, whether it was a dry run. `diff` is its answer."""
    made = SimpleNamespace(calls=[], diff="+ stable: 5", error=None)

    def make(workload, version, _progress, *, dry_run):
        with pytest.raises(UserError, match="`modelstack release markdown`"), lock.exclusive("another"):
            pass
        made.calls.append((workload, version, dry_run))
        if made.error:
            raise made.error
        return made.diff

    monkeypatch.setattr(releaser, "releaser_of", lambda _environment: SimpleNamespace(release=make))
    return made


def test_release_prints_the_change_and_the_update_that_follows(releases, capsys):
    commands.release("dev", "markdown", 5, dry_run=False)
    assert releases.calls == [("markdown", 5, False)], "under the lock: two releases would overwrite each other's edit"
    change, following = capsys.readouterr().out.splitlines()
    assert change == "+ stable: 5"
    assert "pulumi up --stack dev" in following


def test_a_dry_run_of_a_release_says_that_nothing_was_built(releases, capsys):
    commands.release("dev", "markdown", None, dry_run=True)
    assert releases.calls == [("markdown", None, True)]
    out = capsys.readouterr().out
    assert "Nothing was built or written" in out
    assert "pulumi up" not in out


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_version_that_is_released_already_needs_no_update(releases, capsys, dry_run):
    releases.diff = ""
    commands.release("dev", "markdown", 3, dry_run=dry_run)
    assert capsys.readouterr().out == "This version is already released: nothing changes.\n"


def test_a_failed_release_prints_no_next_step(releases, capsys):
    releases.error = UserError("the build failed")
    with pytest.raises(UserError, match="the build failed"):
        commands.release("dev", "markdown", 5, dry_run=False)
    assert capsys.readouterr().out == ""
    releases.error = None
    commands.release("dev", "markdown", 5, dry_run=False)
    assert len(releases.calls) == 2, "the lock is free again"


def test_releases_are_not_promoted_to_the_environment_that_creates_them(checkout):
    with pytest.raises(UserError, match=r"(?s)Releases are created in dev.*modelstack release markdown --stack dev"):
        commands.promote(command("promote", "dev"), None, None)


def test_a_promotion_can_name_another_source(checkout):
    checkout.write("stage")
    checkout.write("dev", released(3))
    checkout.write("prod", approved("prod", released(5)))
    commands.promote(command("promote", "stage"), "prod", None)
    assert checkout.block("stage") == released(5), "an approval is not copied: it was signed for another environment"


def test_the_next_step_of_a_promotion_is_the_approval_only_where_one_is_required(checkout, capsys):
    checkout.write("stage")
    commands.promote(command("promote", "stage"), None, None)
    assert capsys.readouterr().out.splitlines()[-1].endswith("pulumi up --stack stage")
    checkout.write("prod")
    commands.promote(command("promote", "prod"), None, 3)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Next: an approver who did not train this version runs modelstack approve markdown --version 3 --stack prod"
    )


def test_a_canary_needs_a_share(checkout):
    with pytest.raises(UserError, match=r"(?s)which share of the requests.*--traffic 10.*--abort"):
        commands.canary(command("canary", "stage"), 3, None, abort=False)


def test_a_running_canary_changes_its_share_without_its_version(checkout):
    checkout.write("dev", released(5))
    checkout.write("stage", released(4, 3, canary={"version": 3, "percent": 10}))
    commands.canary(command("canary", "stage"), None, 50, abort=False)
    assert checkout.block("stage")["canary"] == {"version": 3, "percent": 50}


@pytest.mark.parametrize("role", ["canary", "shadow"])
def test_abort_removes_the_role_and_keeps_the_release(checkout, role):
    value = {"canary": {"version": 3, "percent": 10}, "shadow": 3}[role]
    checkout.write("stage", released(4, 3, **{role: value}))
    if role == "canary":
        commands.canary(command(role, "stage"), None, None, abort=True)
    else:
        commands.shadow(command(role, "stage"), None, abort=True)
    assert checkout.block("stage") == released(4, 3), "the version can be given a role again without a copy"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The user's folder for keys; git's user.email is `me@example.com`."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(user, "current_user", lambda: "me@example.com")
    return tmp_path / "config" / "modelstack" / "approver.json"


def test_the_first_call_of_key_creates_one_and_the_next_ones_show_it(checkout, config, capsys):
    commands.key(None, None, None)
    first = capsys.readouterr().out
    created = json.loads(config.read_text())
    assert first.startswith(f"me@example.com  {approval_keys.read(config).public}\n")
    assert created["secret"] not in first, "the private half is not shown"
    commands.key(None, None, None)
    assert capsys.readouterr().out == first
    assert json.loads(config.read_text()) == created


def test_a_name_creates_a_key_and_never_overwrites_one(checkout, config, tmp_path):
    commands.key("other@example.com", tmp_path / "other.json", None)
    assert approval_keys.read(tmp_path / "other.json").name == "other@example.com"
    assert not config.exists()
    with pytest.raises(UserError, match="exists already"):
        commands.key("third@example.com", tmp_path / "other.json", None)


def test_key_adds_the_public_half_to_the_approvers_once(checkout, config, tmp_path, capsys):
    for _ in range(2):
        commands.key(None, None, "markdown")
    assert "listed in workloads/markdown/approvers.json: commit this file" in capsys.readouterr().out
    (listed,) = json.loads((tmp_path / "workloads" / "markdown" / "approvers.json").read_text())
    assert (listed["name"], listed["key"]) == ("me@example.com", approval_keys.read(config).public)


def test_key_lists_nobody_for_an_unknown_workload(checkout, config, tmp_path):
    with pytest.raises(UserError, match="no such workload"):
        commands.key(None, None, "markdwon")
    assert not list((tmp_path / "workloads").rglob("*.json"))


@pytest.fixture
def tour_folder(checkout, tmp_path, monkeypatch):
    """The folder of the tour's key and lists, in a checkout that has the stacks of the tour."""
    monkeypatch.setattr(paths, "TOUR", tmp_path / ".modelstack" / "tour")
    checkout.write("tour-stage", released(3))
    checkout.write("tour-prod", released(3))
    checkout.deployed = {"tour-stage": released(3)}
    return paths.TOUR


def test_the_tours_key_stands_for_a_colleague_and_is_listed_where_git_ignores_it(tour_folder, config, tmp_path, capsys):
    for _ in range(2):
        commands.key(None, None, "markdown", for_tour=True)
    assert approval_keys.read(tour_folder / "approver.json").name == "colleague@example.com"
    (listed,) = json.loads((tour_folder / "markdown" / "approvers.json").read_text())
    assert listed["name"] == "colleague@example.com"
    assert not config.exists(), "the user's own key is another one"
    assert not (tmp_path / "workloads" / "markdown" / "approvers.json").exists(), "the real prod has no invented approver"
    assert "its approvals count in tour-prod only" in capsys.readouterr().out


def test_an_approval_with_the_tours_key_counts_in_the_tour_alone(tour_folder, config, checkout):
    commands.key(None, None, "markdown", for_tour=True)
    key = approval_keys.default_file("tour-prod")
    assert key == tour_folder / "approver.json"
    commands.approve(command("approve", "tour-prod"), 3, key)
    assert checkout.block("tour-prod")["versions"][0]["approval"]["by"] == "colleague@example.com"
    before = checkout.file("prod").read_text()
    with pytest.raises(UserError, match="not among the approvers"):
        commands.approve(command("approve", "prod"), 3, key)
    assert checkout.file("prod").read_text() == before


def test_the_default_key_of_all_other_stacks_is_the_users_own(tour_folder, config):
    assert approval_keys.default_file("tour-prod") == tour_folder / "approver.json", "the message says how to create it"
    with pytest.raises(UserError, match=r"(?s)do not have an approver key.*key --tour") as refused:
        approval_keys.read(approval_keys.default_file("tour-prod"))
    assert refused.value.fix == "modelstack key --tour --workload NAME"
    commands.key("me@example.com", None, None)
    assert approval_keys.default_file("tour-prod") == config, "a key of one's own may be listed for the tour as well"
    commands.key(None, None, "markdown", for_tour=True)
    assert [approval_keys.default_file(stack) for stack in ("prod", "stage", "dev", "tour", "")] == [config] * 5


def test_the_tours_approver_cannot_approve_what_he_trained(tour_folder, config, checkout, monkeypatch):
    block = released(3)
    block["versions"][0]["trainer"] = "colleague@example.com"
    checkout.write("tour-prod", block)
    monkeypatch.setattr(
        commands, "origin_registry", lambda _stack: FakeModelRegistry(tags={"trainer": "colleague@example.com"})
    )
    commands.key(None, None, "markdown", for_tour=True)
    with pytest.raises(UserError, match="a different person must approve it"):
        commands.approve(command("approve", "tour-prod"), 3, approval_keys.default_file("tour-prod"))


def test_a_command_looks_its_tier_up_once(checkout, monkeypatch):
    looked_up, resolve = [], loading.resolve
    monkeypatch.setattr(loading, "resolve", lambda stack: looked_up.append(stack) or resolve(stack))
    monkeypatch.setattr(commands, "_copy", lambda *_, **__: None)
    commands.promote(ReleaseCommand.for_workload("promote markdown", "stage", "markdown"), None, 3)
    assert looked_up == ["stage"], "the source and the origin are known with the stack"
