"""Imports the protocol's messages without the rest of the SDK, so that a plugin starts in a third of the time."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path


def without_sdk() -> None:
    """Makes `pulumi.runtime.proto.*` importable without running the SDK's `__init__` files, which take 0.4 s.

    Use this in processes that need no other part of the SDK. Call it before the first import of `pulumi`.
    """
    spec = importlib.util.find_spec("pulumi")
    if spec is None or spec.origin is None:
        return
    root = Path(spec.origin).parent
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules.setdefault(name, package)
