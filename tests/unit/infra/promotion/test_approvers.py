"""The approvers whose signatures count in a stack: the reviewed list, and in the tour also that of this machine."""

from __future__ import annotations

import pytest

from common import paths
from common.errors import UserError
from infra.promotion import approvers
from tests.releases import APPROVER, MARKDOWN

LOCAL = APPROVER.model_copy(update={"name": "colleague@example.com"})


@pytest.fixture
def local_list(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TOUR", tmp_path)
    file = tmp_path / "markdown" / "approvers.json"
    file.parent.mkdir()
    file.write_text(f"[{LOCAL.model_dump_json()}]")
    return file


@pytest.mark.parametrize("stack", ["tour-stage", "tour-prod"])
def test_a_stack_of_the_tour_accepts_both_lists(local_list, stack):
    assert approvers.for_stack(stack, MARKDOWN).approvers == (APPROVER, LOCAL)


@pytest.mark.parametrize("stack", ["dev", "stage", "prod", "prod-eu", "tour", "tour-prod-2", "my-tour-prod", ""])
def test_no_other_stack_reads_the_list_of_this_machine(local_list, stack):
    local_list.write_text("not even JSON")
    assert approvers.for_stack(stack, MARKDOWN) is MARKDOWN


def test_without_a_list_of_this_machine_the_reviewed_one_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TOUR", tmp_path)
    assert approvers.for_stack("tour-prod", MARKDOWN) == MARKDOWN


@pytest.mark.parametrize("text", ["", "{}", '[{"name": "nobody"}]'])
def test_an_invalid_list_is_an_error_that_says_how_to_make_another(local_list, text):
    local_list.write_text(text)
    with pytest.raises(UserError, match=r"(?s)approvers for the tour is invalid.*modelstack key --tour --workload markdown"):
        approvers.for_stack("tour-prod", MARKDOWN)
