"""A temporary checkout with stack files, for tests of promotion."""

import pytest

from common import paths
from delivery.releases import commands, stack_editor
from infra.promotion.deployed import parse
from tests.promotions import FakeModelRegistry, World
from tests.releases import approved, outputs, released
from tests.tiers import clusters_answer


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def checkout(world, tmp_path, monkeypatch):
    """A checkout with stack files of dev, stage and prod. Version 3 is up in stage, prod was never up."""
    for stack, block in (("dev", released(3)), ("stage", released(4, 3)), ("prod", approved("prod", released(3)))):
        world.write(stack, block)
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(paths, "STATE", tmp_path / ".modelstack")
    monkeypatch.setattr(paths, "BACKEND", tmp_path / ".modelstack" / "state")
    monkeypatch.setattr(paths, "LOGS", tmp_path / ".modelstack" / "logs")
    monkeypatch.setattr(commands, "origin_registry", lambda _stack: FakeModelRegistry())
    world.asked = clusters_answer(monkeypatch)
    world.deployed = {"stage": released(3)}

    def deployed_in(stack):
        return parse(outputs(world.deployed[stack])) if stack in world.deployed else {}

    monkeypatch.setattr(stack_editor, "deployed_in", deployed_in)
    (tmp_path / "workloads" / "markdown").mkdir(parents=True)
    return world
