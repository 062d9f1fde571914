"""Serves the plugin: `python -m local.plugins.kubernetes ENGINE_ADDRESS`, started by the engine."""

from __future__ import annotations

from local.plugins.bare import without_sdk

without_sdk()

from local.plugins.kubernetes.provider import Kubernetes  # noqa: E402, after the SDK is out of the way
from local.plugins.protocol.serve import serve  # noqa: E402

serve(Kubernetes())
