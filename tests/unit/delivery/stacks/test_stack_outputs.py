"""The outputs of a stack, and the errors of a stack that cannot be read."""

from __future__ import annotations

import pytest

from common import paths
from common.errors import UserError
from delivery.stacks import engine_errors, stack_outputs


def test_outputs_are_read_with_their_secrets(engine):
    engine.answers(("stack output", '{"registry": "r", "tracking": {"password": "p"}}', "warning: old\n", 0))
    assert stack_outputs.read("dev") == {"registry": "r", "tracking": {"password": "p"}}
    assert engine.calls == ["--non-interactive stack output --json --show-secrets --stack dev"]


@pytest.mark.parametrize("printed", ["", "{}"])
def test_a_stack_without_an_update_has_no_outputs(engine, printed):
    engine.answers(("stack output", printed, "", 0))
    assert stack_outputs.read("dev") == {}


def test_without_an_engine_the_stack_is_not_up_and_nothing_is_written(engine, tmp_path):
    with pytest.raises(UserError, match=r"(?s)Stack dev is not up: this checkout has no engine yet.*make up"):
        stack_outputs.read("dev")
    assert not (tmp_path / ".modelstack").exists()


def test_a_missing_stack_is_named_with_the_backend(engine):
    engine.answers(("stack output", "", "error: no stack named 'dev' found\n", 255))
    with pytest.raises(UserError, match=r"There is no stack dev in the backend") as refused:
        stack_outputs.read("dev")
    assert paths.BACKEND.as_uri() in str(refused.value)


def test_a_wrong_passphrase_names_the_file_for_the_right_one(engine):
    engine.answers(("stack output", "", "error: incorrect passphrase\n", 255))
    with pytest.raises(UserError, match="encrypted with another passphrase") as refused:
        stack_outputs.read("dev")
    assert str(paths.PASSPHRASE) in str(refused.value)


def test_any_other_failure_shows_what_the_engine_printed(engine):
    engine.answers(("stack output", "{}", "error: could not read the bucket\n", 255))
    with pytest.raises(UserError, match=r"(?s)Stack dev cannot be opened.*could not read the bucket"):
        stack_outputs.read("dev")


def test_the_last_lines_have_no_colour_marks():
    printed = "\n".join(f"<{{%fg 1%}}>line {number}<{{%reset%}}>" for number in range(30))
    lines = engine_errors.last_lines(f"{printed}\n\n", 3)
    assert lines == "line 27\nline 28\nline 29"
