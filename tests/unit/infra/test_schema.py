from __future__ import annotations

import json

import pytest
from ruamel.yaml import YAML

from infra.settings import schema
from tests.checkout import CHECKOUT, STACK_FILES


def test_the_committed_schema_matches_the_settings():
    assert schema.PATH.read_text() == schema.text(), "run `modelstack schema` and commit what it writes"


@pytest.mark.parametrize("stack_file", sorted(STACK_FILES.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_every_stack_file_names_the_schema_to_editors(stack_file):
    first, *_ = stack_file.read_text().splitlines()
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (CHECKOUT / named).resolve() == schema.PATH, "editors read the schema's path from the first line"


def test_the_project_file_names_the_schema():
    project = YAML(typ="safe").load(CHECKOUT / "Pulumi.yaml")
    assert (CHECKOUT / project["stackSchema"]).resolve() == schema.PATH


def test_the_schema_refuses_unknown_concerns_but_not_the_engines_keys():
    config = json.loads(schema.PATH.read_text())["properties"]["config"]
    assert config["additionalProperties"] is False, "editors must underline a misspelt concern"
    assert config["patternProperties"] == {"^(?!modelstack:)": True}, "providers and the engine have keys of their own"


def test_every_key_of_a_release_is_described_or_has_an_example():
    release = json.loads(schema.PATH.read_text())["$defs"]["Release"]["properties"]
    bare = [key for key, value in release.items() if not {"description", "examples", "$ref"} & value.keys()]
    assert not bare, f"an editor would have nothing to show for {bare}"
