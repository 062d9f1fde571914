"""That a stack declares what it did. A difference is to be looked at, then taken over with `pytest --snapshot-update`."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from tests.releases import run_released
from tests.stacks.test_policies import STACKS


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_declares_what_it_did(stack, snapshot):
    declared = run_released(stack)
    resources = [asdict(resource) | {"dependencies": sorted(resource.dependencies)} for resource in declared.resources]
    assert {"resources": resources, "outputs": declared.outputs} == snapshot
