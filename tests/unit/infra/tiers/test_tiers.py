"""The file with the tiers: what it says, and what is refused in it."""

from __future__ import annotations

import pytest

from common import paths
from common.errors import UserError
from delivery.stacks import tiers_file
from infra.tiers import loading
from infra.tiers.model import FILE_NAME, Requirements
from tests.checkout import CHECKOUT
from tests.harness import run_stack
from tests.tiers import tier_of

TIERS = """\
[tiers.dev]
[tiers.test]
source = "dev"
evidence = true
[tiers.prod]
source = "test"
evidence = true
approval = true
proven = true
[stacks]
anna = { tier = "dev" }
rehearsal = { tier = "test", source = "anna" }
europe = { tier = "prod", source = "rehearsal" }
"""


def changed(old, new=""):
    assert TIERS.count(old) == 1, f"{old} has to be there once"
    return TIERS.replace(old, new)


def refusal(text):
    with pytest.raises(UserError) as error:
        loading.parse_text(text)
    return str(error.value)


def test_the_shipped_file_has_the_requirements_that_the_readme_names():
    shipped = loading.parse_text((CHECKOUT / FILE_NAME).read_text())
    full = Requirements(evidence=True, approval=True, proven=True)
    assert {name: tier.requirements for name, tier in shipped.tiers.items()} == {
        "dev": Requirements(),
        "stage": Requirements(evidence=True),
        "prod": full,
    }
    assert shipped.of("tour-prod").requirements == full, "whoever tries prod on one machine meets all its rules"


def test_a_team_adds_a_tier_and_names_its_stacks_as_it_likes():
    europe = loading.parse_text(TIERS).of("europe")
    assert europe.tier.name == "prod"
    assert europe.requirements == Requirements(evidence=True, approval=True, proven=True)
    assert europe.source.stack == "rehearsal"
    assert europe.origin.stack == "anna", "the path is followed to the stack in which releases are created"


def test_a_stack_in_which_releases_are_created_is_its_own_origin():
    assert loading.parse_text(TIERS).of("anna").origin.stack == "anna"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            changed('"anna" }', '"rehearsal" }'),
            ["source is a stack of tier test", "[stacks.rehearsal]", "do:    name one of these stacks: anna"],
        ),
        (changed('"anna" }', '"ana" }'), ["source is not a listed stack", "found: ana", "did you mean `anna`?"]),
        (
            changed(', source = "anna"'),
            ["source is missing: tier test gets its releases from a stack of tier dev", "stacks: anna"],
        ),
        (
            changed('{ tier = "dev" }', '{ tier = "dev", source = "europe" }'),
            ["source is set, but releases are created in tier dev"],
        ),
        (changed('"prod", source', '"prd", source'), ["tier is not a tier of this file", "found: prd", "did you mean `prod`?"]),
        (changed('source = "dev"', 'source = "dv"'), ["[tiers.test]", "source is not a tier", "did you mean `dev`?"]),
        (changed("[tiers.dev]", '[tiers.dev]\nsource = "prod"'), ["source leads back to the tier itself", "->"]),
        (changed("[tiers.dev]", "[tiers.dev]\nproven = true"), ["[tiers.dev]", "proven is set, but the tier has no source"]),
        (
            changed("approval = true", "aproval = true"),
            ["[tiers.prod]", "aproval is not a known key", "did you mean `approval`?"],
        ),
        (changed("approval = true", 'approval = "yes"'), ["[tiers.prod]", "approval should be a valid boolean", "found: yes"]),
        (changed('{ tier = "dev" }', '"dev"'), [FILE_NAME, "anna", "found: dev", 'right: stage = { tier = "stage"']),
        (
            changed('tier = "prod", '),
            ["[stacks.europe]", "tier is missing", 'right: stage = { tier = "stage", source = "dev" }'],
        ),
        (changed("[tiers.test]", "[tiers.TEST]"), ["[tiers.TEST]", "the name should match pattern"]),
        (changed("[stacks]", "[stcks]"), ["stcks is not a known key", "did you mean `stacks`?"]),
        ("[tiers.dev", ["is not valid TOML", FILE_NAME, "at end of document"]),
        ("\ufeff[tiers.dev]", ["byte order mark", FILE_NAME, "without a byte order mark"]),
        ("", ["tiers is missing", FILE_NAME, "right: [tiers.stage]"]),
    ],
)
def test_a_bad_file_is_refused_with_table_key_value_and_example(text, parts):
    said = refusal(text)
    assert [part for part in parts if part not in said] == [], said
    assert "do:    " in said


def test_all_problems_of_the_format_are_told_at_once():
    said = refusal(changed("approval = true", "aproval = 1").replace("proven = true", "prven = 1"))
    assert said.startswith(f"{FILE_NAME} has 2 problems.")


def test_a_missing_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "FILE", tmp_path / "tiers.toml")
    with pytest.raises(UserError, match=r"(?s)file with the tiers is missing.*infra/tiers/tiers\.toml.*git checkout"):
        loading.load()


def test_a_file_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "FILE", tmp_path)
    with pytest.raises(UserError, match=r"(?s)cannot be read.*infra/tiers/tiers\.toml.*Is a directory"):
        loading.load()


def test_the_commands_and_the_program_refuse_a_stack_of_no_tier_with_the_same_words(monkeypatch, tmp_path):
    (tmp_path / "Pulumi.canada.yaml").write_text("config: {}\n")
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    with pytest.raises(UserError) as by_command:
        tiers_file.resolve("canada")
    said = str(by_command.value)
    assert said.startswith("Stack canada belongs to no tier")
    for part in (
        f"where: {FILE_NAME}, [stacks]",
        "found: the listed stacks are dev, stage, prod",
        'right: canada = { tier = "stage"',
    ):
        assert part in said
    with pytest.raises(Exception, match="Stack canada belongs to no tier") as by_program:
        run_stack("dev", named="canada")
    assert str(by_program.value) == said


def test_a_misspelled_stack_is_answered_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean `tour-stage`"):
        tier_of("tour-stge")
