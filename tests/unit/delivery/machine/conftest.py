import io

import pytest

from tests.unit.delivery.machine.machines import EMBEDDED, Machine


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with the stack file of dev, and nothing else."""
    made = Machine(tmp_path, monkeypatch, io.StringIO())
    made.write(EMBEDDED)
    return made
