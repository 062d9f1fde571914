"""What the Automation API leaves open when an operation fails: event loops and sockets, which would count as warnings."""

import gc
import warnings
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_leftovers():
    """Collects them where their warnings are not errors, after each test of the module that imports this."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def stored(stack):
    """The state as it lies in the backend: what is secret is encrypted there."""
    backend = Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
    (file,) = (backend / ".pulumi" / "stacks").rglob("tests.json")
    return file.read_text()
