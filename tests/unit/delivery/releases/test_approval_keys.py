"""Keys of approvers, and approvals made with them."""

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


def test_a_key_is_made_once_kept_private_and_found_again(tmp_path):
    file = tmp_path / "config" / "approver.json"
    made = approval_keys.make("me@example.com", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert approval_keys.read(file).public == made.public
    with pytest.raises(UserError, match="a key already"):
        approval_keys.make("me@example.com", file)
    assert approval_keys.read(file).public == made.public, "a key that was made over would be lost"


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path):
    file = tmp_path / "approver.json"
    with pytest.raises(UserError, match="modelstack key"):
        approval_keys.read(file)
    approval_keys.make("me@example.com", file)
    file.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        approval_keys.read(file)
    file.write_text('{"name": "me@example.com", "secret": "short"}')
    with pytest.raises(UserError, match="no approver's key"):
        approval_keys.read(file)


def test_an_approval_that_would_not_count_is_not_given(tmp_path):
    key = approval_keys.make("me@example.com", tmp_path / "approver.json")
    with pytest.raises(UserError, match=r"(?s)not among the approvers.*approvers\.json"):
        key.approve("prod", MARKDOWN, Release.model_validate(release(3)))


def test_an_approval_of_a_listed_key_counts(tmp_path):
    key = approval_keys.make("me@example.com", tmp_path / "approver.json")
    workload = MARKDOWN.model_copy(update={"approvers": (APPROVER.model_copy(update={"name": key.name, "key": key.public}),)})
    made = key.approve("prod", workload, Release.model_validate(release(3)))
    assert made["by"] == "me@example.com"
    Release.model_validate(release(3) | {"approval": made})


def test_a_key_is_listed_once_and_the_others_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    folder = tmp_path / "workloads" / "markdown"
    folder.mkdir(parents=True)
    (folder / "approvers.json").write_text(json.dumps([APPROVER.model_dump(exclude_none=True)]))
    key = approval_keys.make("me@example.com", tmp_path / "approver.json")
    for _ in range(2):
        file = approval_keys.list_for("markdown", key)
    assert [each["name"] for each in json.loads(file.read_text())] == [APPROVER.name, "me@example.com"]
