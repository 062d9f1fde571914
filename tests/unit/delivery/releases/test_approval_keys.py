"""Keys of approvers, and approvals that are signed with them."""

from __future__ import annotations

import json
import stat

import pytest

from common import paths
from common.errors import UserError
from delivery.releases import approval_keys
from infra.settings.releases import Release
from tests.releases import (
    APPROVER,
    MARKDOWN,
    release,
)


def test_a_key_is_private_can_be_read_again_and_is_never_overwritten(tmp_path):
    file = tmp_path / "config" / "approver.json"
    created = approval_keys.create("me@example.com", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert approval_keys.read(file).public == created.public
    with pytest.raises(UserError, match="exists already"):
        approval_keys.create("me@example.com", file)
    assert approval_keys.read(file).public == created.public, "an overwritten key is lost"


def test_a_missing_an_unprotected_and_an_invalid_key_file_are_refused(tmp_path):
    file = tmp_path / "approver.json"
    with pytest.raises(UserError, match="modelstack key"):
        approval_keys.read(file)
    approval_keys.create("me@example.com", file)
    file.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        approval_keys.read(file)
    file.write_text('{"name": "me@example.com", "secret": "short"}')
    with pytest.raises(UserError, match="does not contain an approver key"):
        approval_keys.read(file)


def test_an_invalid_approval_is_refused(tmp_path):
    key = approval_keys.create("me@example.com", tmp_path / "approver.json")
    with pytest.raises(UserError, match=r"(?s)not among the approvers.*approvers\.json"):
        key.approve("prod", MARKDOWN, Release.model_validate(release(3)))


def test_an_approval_with_a_listed_key_is_valid(tmp_path):
    key = approval_keys.create("me@example.com", tmp_path / "approver.json")
    workload = MARKDOWN.model_copy(update={"approvers": (APPROVER.model_copy(update={"name": key.name, "key": key.public}),)})
    entry = key.approve("prod", workload, Release.model_validate(release(3)))
    assert entry["by"] == "me@example.com"
    Release.model_validate(release(3) | {"approval": entry})


def test_a_key_is_listed_once_and_other_keys_stay_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    folder = tmp_path / "workloads" / "markdown"
    folder.mkdir(parents=True)
    (folder / "approvers.json").write_text(json.dumps([APPROVER.model_dump(exclude_none=True)]))
    key = approval_keys.create("me@example.com", tmp_path / "approver.json")
    for _ in range(2):
        file = approval_keys.add_to_approvers("markdown", key)
    assert [each["name"] for each in json.loads(file.read_text())] == [APPROVER.name, "me@example.com"]
