"""A stack declares what it did when somebody last looked at all of it.

A snapshot shows that something has changed, not whether that is right. Read the difference. If it is meant, write the new
snapshots with `.venv/bin/pytest tests/stacks --snapshot-update` and commit them with the change that made them differ.
"""

from __future__ import annotations

from dataclasses import asdict

import pytest

from tests.releases import run_released
from tests.stacks.test_policies import STACKS

UPDATE = ".venv/bin/pytest tests/stacks --snapshot-update"


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_declares_what_it_did(stack, snapshot):
    declared = run_released(stack)
    resources = [asdict(resource) | {"dependencies": sorted(resource.dependencies)} for resource in declared.resources]
    assert {"resources": resources, "outputs": declared.outputs} == snapshot, (
        f"stack {stack} declares something else than its snapshot, see below; if that is meant: {UPDATE}"
    )
