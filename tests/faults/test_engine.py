"""The real engine with a backend on the network: with each fault it fails, and no command takes that for "there is no stack".

The other tests have an engine of their own (`outside/engines.py`) that fails in the same way. A slow backend is missing here:
the engine waits for it without a limit.
"""

from __future__ import annotations

import pytest

from common import paths
from common.errors import UserError
from delivery.stacks import backend, process, stack_outputs
from tests.engine.harness.processes import executable
from tests.faults.injector import Fault, Proxy, Rule
from tests.faults.outside.buckets import NAME, FakeBucket

FAULTS = [fault for fault in Fault if fault is not Fault.slow]


@pytest.fixture(scope="module")
def engine():
    return executable("pulumi")


@pytest.fixture(scope="module")
def bucket():
    made = Proxy("bucket", FakeBucket())
    yield made
    made.close()


@pytest.fixture
def checkout(engine, bucket, tmp_path, monkeypatch):
    """A checkout whose states are in the bucket: that of stage, without an update."""
    for name in ("STATE", "BACKEND", "PASSPHRASE", "PULUMI_HOME", "BIN", "KUBECONFIG"):
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).relative_to(paths.CHECKOUT))
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: modelstack\nruntime: python\n")
    paths.BIN.mkdir(parents=True)
    (paths.BIN / "pulumi").symlink_to(engine)
    options = "disableSSL=true&s3ForcePathStyle=true&region=us-east-1"
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"s3://{NAME}?endpoint=http://{bucket.address}&{options}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "tests")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tests")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    backend.prepare()
    if not bucket.upstream.objects:
        done = process.run(str(paths.BIN / "pulumi"), ["stack", "init", "stage"])
        assert done.code == 0, done.stderr


def test_without_a_fault_the_stack_and_its_outputs_are_read(checkout):
    assert backend.stacks() == ["stage"]
    assert stack_outputs.read("stage") == {}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_backend_that_cannot_be_read_is_an_error_that_names_it(checkout, bucket, fault):
    before = dict(bucket.upstream.objects)
    with bucket.failing(Rule(fault=fault)):
        with pytest.raises(UserError) as listing:
            backend.stacks()
        with pytest.raises(UserError) as reading:
            stack_outputs.read("stage")
    for error in (listing.value, reading.value):
        assert "There is no stack" not in error.what, "`up` would create it anew"
        assert error.where == f"s3://{NAME}", "without the options of the URL, which may contain a secret"
        assert error.found
        assert "PULUMI_BACKEND_URL" in error.fix
    assert bucket.upstream.objects == before
