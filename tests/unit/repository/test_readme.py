"""The README's tour, word by word: its commands exist, and none of them changes the shipped stack files of stage and prod."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.main import get_command

from common.paths import CHECKOUT
from delivery.cli.main import app
from infra.settings import tour

README = (CHECKOUT / "README.md").read_text()
TOUR = ("The first half hour", "From dev to prod", "Add a workload")
"""The chapters whose commands a reader types one after the other."""
OF_THE_TOUR = {"dev", *tour.STACKS}
STACK_OPTIONS = ("stack", "to", "source", "one", "other")
"""The parameters of commands that name a stack."""


def chapter(title, text=README):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def blocks(text):
    """The lines of code blocks, which are indented by four spaces, or by more inside lists; without comments."""
    lines = [line.strip() for line in text.splitlines() if re.match(r" {4,}\S", line)]
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def inline(text):
    """The code inside sentences. A line break in it is a space. Names of commands without arguments are left out."""
    prose = "\n".join(line for line in text.splitlines() if not re.match(r" {4,}\S", line))
    found = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    return [code for code in found if code.count(" ") > 1]


def commands(text):
    """The words of each command of `modelstack`, `pulumi` and `make`."""
    typed = [part for code in (*blocks(text), *inline(text)) for part in code.split(" && ")]
    return [shlex.split(each) for each in typed if re.match(r"(modelstack|pulumi|make) [a-z]", each)]


def parameters(words):
    """The parameters of a command of `modelstack`. Raises an error for a command or an option that does not exist."""
    command = get_command(app).commands[words[1]]
    return command.make_context(words[1], words[2:]).params


def stacks_of(words):
    """The stacks that a command names."""
    if words[0] == "modelstack":
        given = parameters(words)
        return {given[name] for name in STACK_OPTIONS if given.get(name)}
    return {words[index + 1] for index, word in enumerate(words) if word == "--stack"}


TYPED = [(title, words) for title in TOUR for words in commands(chapter(title))]


@pytest.mark.parametrize(("title", "words"), TYPED, ids=lambda part: " ".join(part) if isinstance(part, list) else "")
def test_a_command_of_the_tour_is_accepted_and_names_no_stack_but_those_of_the_tour(title, words):
    assert stacks_of(words) - OF_THE_TOUR == set(), f"{title}: it would change an environment of a team's own"
    assert not any(word.startswith("STACK=") for word in words)


def test_the_tour_has_its_steps():
    typed = {" ".join(words) for _, words in TYPED}
    for step in (
        "make up",
        "modelstack tour",
        "modelstack up --stack tour-stage",
        "modelstack promote markdown --to tour-prod",
        "modelstack approve markdown --version 1 --stack tour-prod --apply",
        "modelstack down --stack tour-stage",
        "make down",
    ):
        assert step in typed, "otherwise the tests of this file look at nothing"


@pytest.mark.parametrize("title", TOUR)
def test_no_line_of_code_names_a_file_that_ships_for_a_teams_own_environment(title):
    named = [line for line in blocks(chapter(title)) if re.search(r"Pulumi\.(stage|prod)\.yaml|approvers\.json", line)]
    assert named == [], "`git status` must be clean after the tour"


@pytest.mark.parametrize("title", TOUR)
def test_the_tour_lists_no_approver_for_the_real_prod(title):
    keys = [shlex.split(line) for line in blocks(chapter(title)) if line.startswith("modelstack key")]
    assert [words for words in keys if not parameters(words)["tour"]] == []


@pytest.mark.parametrize(
    "text",
    [
        "Run `modelstack promote markdown --to\n   prod --apply`.",
        "   text:\n\n       modelstack up --stack stage       # a comment\n",
        "    pulumi up --stack prod\n",
        "Compare: `modelstack diff dev stage`.",
    ],
)
def test_a_tour_that_names_the_stacks_of_a_team_is_found(text):
    assert [stack for words in commands(text) for stack in stacks_of(words) - OF_THE_TOUR] != []
