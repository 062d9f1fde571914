from __future__ import annotations

import pytest

from local import toolchain
from tests.engine.harness.processes import Quiet
from tests.faults.world import Servers, World


@pytest.fixture(scope="session")
def servers():
    made = Servers()
    yield made
    made.close()


@pytest.fixture(scope="session")
def executable():
    """The client of container registries. `modelstack tools` has built it."""
    return toolchain.container_registry(Quiet())


@pytest.fixture
def world(servers, executable, tmp_path, monkeypatch):
    (tmp_path / ".modelstack").mkdir()
    return World(servers, executable, tmp_path, monkeypatch)
