"""The commands approve, rollback and verify: what they check, write and print."""

from __future__ import annotations

import base64
import json

import pytest

from common.errors import UserError
from delivery.releases import commands
from infra.promotion import approval
from infra.settings.releases import Release
from tests.promotions import FakeModelRegistry, command
from tests.releases import APPROVER, KEY, MARKDOWN, approved, release, released

SECRET = {"name": APPROVER.name, "secret": base64.b64encode(KEY.private_bytes_raw()).decode()}
UNSIGNED = "nobody has approved it"


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "approver.json"
    file.write_text(json.dumps(SECRET))
    file.chmod(0o600)
    return file


def objection(checkout, version):
    (found,) = [each for each in checkout.block("prod")["versions"] if each["version"] == version]
    return approval.objection("prod", "markdown", Release.model_validate(found), MARKDOWN.approvers)


def test_an_approval_is_written_to_the_release_and_valid(checkout, key_file):
    checkout.write("prod", released(3))
    assert objection(checkout, 3) == UNSIGNED
    commands.approve(command("approve", "prod"), 3, key_file)
    assert objection(checkout, 3) == ""
    changed = checkout.block("prod")
    assert changed["versions"][0].pop("approval")["by"] == APPROVER.name
    assert changed == released(3), "nothing else changes"


def test_one_version_is_approved_although_another_served_one_still_waits(checkout, key_file):
    checkout.deployed = {"stage": released(4), "prod": released(3)}
    checkout.write("prod", released(3, 4, canary={"version": 4, "percent": 10}))
    commands.approve(command("approve", "prod"), 4, key_file)
    assert objection(checkout, 4) == ""
    assert objection(checkout, 3) == UNSIGNED, "each approver runs the command for one version"


def test_an_approval_can_be_renewed(checkout, key_file):
    stale = released(3)
    stale["versions"][0] = approved("stage", stale)["versions"][0]
    checkout.write("prod", stale)
    assert objection(checkout, 3) != "", "a signature for another environment is not valid"
    commands.approve(command("approve", "prod"), 3, key_file)
    assert objection(checkout, 3) == ""


def test_a_dry_run_of_an_approval_shows_the_change_and_writes_nothing(checkout, key_file, capsys):
    checkout.write("prod", released(3))
    before = checkout.file("prod").read_text()
    commands.approve(command("approve", "prod", dry_run=True), 3, key_file)
    assert checkout.file("prod").read_text() == before
    out = capsys.readouterr().out
    assert "+          approval:" in out
    assert out.endswith("Nothing was written.\n")


@pytest.mark.parametrize(
    ("changes", "reason"), [({"digest": "sha256:other"}, "evidence.report"), ({"deleted": 3}, "no longer registered")]
)
def test_nobody_signs_a_release_whose_evidence_does_not_match_its_run(checkout, key_file, monkeypatch, changes, reason):
    checkout.write("prod", released(3))
    before = checkout.file("prod").read_text()
    monkeypatch.setattr(commands, "origin_registry", lambda _stack: FakeModelRegistry(**changes))
    with pytest.raises(UserError, match=reason):
        commands.approve(command("approve", "prod"), 3, key_file)
    assert checkout.file("prod").read_text() == before


def test_the_evidence_is_asked_for_in_the_environment_of_the_training(checkout, key_file, monkeypatch):
    checkout.write("prod", released(3))
    stacks = []
    monkeypatch.setattr(commands, "origin_registry", lambda tier: stacks.append(tier.stack) or FakeModelRegistry())
    commands.approve(command("approve", "prod"), 3, key_file)
    assert stacks == ["prod"], "`origin_registry` finds the environment from which prod gets its releases"


@pytest.mark.parametrize("who", ["a stranger", "the trainer"])
def test_an_approval_that_would_not_count_is_not_written(checkout, key_file, monkeypatch, who):
    block = released(3)
    if who == "the trainer":
        block["versions"][0]["trainer"] = APPROVER.name
    checkout.write("prod", block)
    before = checkout.file("prod").read_text()
    workload = MARKDOWN.model_copy(update={"approvers": ()}) if who == "a stranger" else MARKDOWN
    registry = FakeModelRegistry(tags={"trainer": block["versions"][0]["trainer"]})
    monkeypatch.setattr(commands, "origin_registry", lambda _stack: registry)
    with pytest.raises(UserError, match="would not be valid"):
        commands.approve(command("approve", "prod", workload), 3, key_file)
    assert checkout.file("prod").read_text() == before


def test_a_version_that_the_file_does_not_retain_cannot_be_approved(checkout, key_file):
    with pytest.raises(UserError, match=r"(?s)retains no release of markdown version 9.*version 3.*promote markdown --to prod"):
        commands.approve(command("approve", "prod"), 9, key_file)


def test_without_a_key_nothing_is_read_and_the_way_to_one_is_shown(checkout, tmp_path):
    with pytest.raises(UserError, match="modelstack key --name"):
        commands.approve(command("approve", "tour-prod"), 3, tmp_path / "missing.json")


def test_rollback_makes_the_previous_version_stable_and_changes_one_line(checkout, capsys):
    commands.rollback(command("rollback", "stage"))
    assert checkout.block("stage") == released(4, 3) | {"stable": 3}
    lines = capsys.readouterr().out.splitlines()
    changes = [line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    assert [line.strip("+- ") for line in changes if line] == ["stable: 4", "stable: 3"]
    assert lines[-1].startswith("Next: ")


def test_rollback_copies_nothing_and_asks_no_model_registry(checkout, monkeypatch):
    def down(*_):
        raise UserError("MLflow does not answer.")

    monkeypatch.setattr(commands, "origin_registry", down)
    monkeypatch.setattr(commands, "_copy", down)
    commands.rollback(command("rollback", "stage"))
    assert checkout.block("stage")["stable"] == 3, "going back must be possible whatever else is broken"


def test_a_dry_run_of_a_rollback_writes_nothing(checkout):
    before = checkout.file("stage").read_text()
    commands.rollback(command("rollback", "stage", dry_run=True))
    assert checkout.file("stage").read_text() == before


def test_without_a_previous_version_rollback_is_refused(checkout):
    before = checkout.file("prod").read_text()
    with pytest.raises(UserError):
        commands.rollback(command("rollback", "prod"))
    assert checkout.file("prod").read_text() == before


@pytest.mark.parametrize("name", ["rollback", "verify"])
def test_an_environment_without_releases_shows_how_to_get_one(checkout, name):
    checkout.write("stage")
    with pytest.raises(UserError, match=r"(?s)No version of markdown is released in stage yet.*promote markdown --to stage"):
        commands.rollback(command(name, "stage")) if name == "rollback" else commands.check("stage", "markdown")


def test_verify_checks_every_retained_release_and_prints_each(checkout, capsys):
    commands.check("stage", "markdown")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" matches its run ")[0] for line in lines] == ["markdown version 3", "markdown version 4"]
    assert release(3)["evidence"]["report"] in lines[0]


def test_verify_fails_at_the_first_release_that_was_edited(checkout, capsys):
    block = released(4, 3)
    block["versions"][1]["evidence"]["metrics"]["wape"] = 0.1
    checkout.write("stage", block)
    with pytest.raises(UserError, match=r"(?s)version 4 does not match what its run recorded.*evidence.metrics"):
        commands.check("stage", "markdown")
    assert "version 4" not in capsys.readouterr().out


def test_verify_refuses_an_unknown_workload(checkout):
    with pytest.raises(UserError, match=r"(?s)no such workload.*markdwon"):
        commands.check("stage", "markdwon")
