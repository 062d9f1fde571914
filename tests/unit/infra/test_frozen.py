"""Settings, releases and declarations cannot be changed once they are read. A type checker does not see that of pydantic's."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from infra.foundation.settings.embedded import EmbeddedCluster
from infra.sections.section import Section
from infra.settings import loading, model
from tests.checkout import STACK_FILES
from workloads import catalogue
from workloads.declared import Declared


def descendants(kind):
    return {kind, *(found for child in kind.__subclasses__() for found in descendants(child))}


KINDS = sorted({*descendants(Section), *descendants(Declared)}, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_every_section_and_declaration_is_frozen_and_knows_its_keys(kind):
    assert (kind.model_config.get("frozen"), kind.model_config.get("extra")) == (True, "forbid")


def test_there_are_such():
    assert {model.Settings, EmbeddedCluster, type(catalogue.WORKLOADS["markdown"])} <= set(KINDS)


def test_what_was_read_is_not_set_anew():
    settings = loading.load(STACK_FILES / "Pulumi.prod.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        settings.tracking.node_port = 30001
