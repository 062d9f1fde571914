"""Edits of stack files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from delivery.stacks import stack_file
from tests.checkout import STACK_FILES
from tests.releases import RUN, release, released

TEXT = """\
# yaml-language-server: $schema=infra/stack.schema.json
# One person's environment.
config:
  pulumi:disable-default-providers: [kubernetes]
  modelstack:cluster:
    kind: embedded        # starts by itself
    nodePorts: 30000-30031
  modelstack:database:
    password: {secure: "v1:abc:def"}
  modelstack:workloads:
    markdown:
      replicas: {min: 1, max: 2}

      nodePort: 30001
"""
RELEASES = released(3)


def changed_lines(before, after):
    lines = stack_file.diff("f", before, after).splitlines()
    return [line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]


def test_a_release_adds_its_block_and_changes_no_other_line():
    after = stack_file.with_releases(TEXT, "markdown", RELEASES)
    lines = stack_file.diff("Pulumi.dev.yaml", TEXT, after).splitlines()[2:]
    assert not [line for line in lines if line.startswith("-")], "a release only adds lines"
    assert stack_file.releases(after) == {"markdown": RELEASES}, "reading returns the block that was written"


def test_an_endpoint_is_added_once_and_changes_no_other_line():
    after = stack_file.with_endpoint(TEXT, "tuna", 30002)
    assert changed_lines(TEXT, after) == ["+    tuna:", "+      nodePort: 30002"]
    assert stack_file.with_endpoint(after, "tuna", 30003) == after, "a node port that somebody has chosen stays"
    bare = TEXT.partition("  modelstack:workloads:")[0]
    assert changed_lines(bare, stack_file.with_endpoint(bare, "tuna", 30002))[0] == "+  modelstack:workloads:"


def test_writing_the_same_release_twice_changes_nothing():
    once = stack_file.with_releases(TEXT, "markdown", RELEASES)
    assert stack_file.with_releases(once, "markdown", RELEASES) == once, "the second write of the same release changes nothing"


def test_another_version_changes_only_the_lines_that_differ():
    once = stack_file.with_releases(TEXT, "markdown", released(3, 4))
    twice = stack_file.with_releases(once, "markdown", released(4, 3))
    assert changed_lines(once, twice) == ["-      stable: 3", "+      stable: 4"]


def test_adding_a_version_only_adds_lines_and_keeps_the_comments_of_other_versions():
    once = stack_file.with_releases(TEXT, "markdown", RELEASES).replace("stable: 3", "stable: 3  # since the spring sale")
    once = once.replace(f"run: {RUN}", f"run: {RUN}  # the long one")
    more = stack_file.with_releases(once, "markdown", {**RELEASES, "versions": [release(2), release(3), release(4)]})
    assert [line for line in changed_lines(once, more) if line.startswith("-")] == []
    assert "# since the spring sale" in more
    assert more.count("# the long one") == 1
    assert stack_file.with_releases(more, "markdown", RELEASES) == once, "removing the added versions restores the file"


def test_a_release_of_one_workload_does_not_change_the_releases_of_others():
    both = stack_file.with_releases(stack_file.with_releases(TEXT, "markdown", RELEASES), "forecast", released(9))
    assert stack_file.releases(both) == {"markdown": RELEASES, "forecast": released(9)}


def test_removing_the_releases_restores_the_original_file():
    assert stack_file.without_releases(stack_file.with_releases(TEXT, "markdown", RELEASES)) == TEXT
    assert stack_file.without_releases(TEXT) == TEXT


def test_adding_and_removing_a_salt_restores_the_original_file():
    tied = stack_file.with_salt(TEXT, "encryptionsalt: v1:abc")
    assert stack_file.salt(tied) == "encryptionsalt: v1:abc"
    assert stack_file.without_salt(tied) == TEXT
    assert stack_file.releases(stack_file.with_releases(tied, "markdown", RELEASES)) == {"markdown": RELEASES}


def test_encrypted_values_are_found_at_any_depth():
    assert stack_file.has_secrets(TEXT)
    assert not stack_file.has_secrets(TEXT.replace("secure", "plain"))


@given(st.from_regex(r"\A[0-9a-f]{32}\Z"))
def test_a_run_id_that_looks_like_a_number_stays_text(run):
    after = stack_file.with_releases(TEXT, "markdown", {"stable": 3, "versions": [release(3, run=run)]})
    assert stack_file.releases(after)["markdown"]["versions"][0]["run"] == run, (
        "a run id such as 1e10... must not become a number"
    )


@pytest.mark.parametrize("text", ["a: [", "- a\n"])
def test_text_that_is_not_a_stack_file_is_refused_with_a_user_error(text):
    with pytest.raises(stack_file.UserError):
        stack_file.releases(text)


@pytest.mark.parametrize("stack", ["dev", "stage", "prod"])
def test_every_stack_file_survives_a_release_and_its_removal(stack):
    text = stack_file.read(STACK_FILES / f"Pulumi.{stack}.yaml")
    assert stack_file.without_releases(stack_file.with_releases(text, "markdown", RELEASES)) == text


def test_a_stack_file_that_is_not_utf_8_is_refused_with_its_name(tmp_path):
    file = tmp_path / "Pulumi.stage.yaml"
    file.write_bytes("# caf\u00e9\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"(?s)not UTF-8.*Pulumi\.stage\.yaml"):
        stack_file.read(file)
