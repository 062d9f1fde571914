import pytest

from tests.unit.delivery.stacks.engines import FakeEngine


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A checkout without an engine, until the test installs one."""
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    return FakeEngine(tmp_path, monkeypatch)
