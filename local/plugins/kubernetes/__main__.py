"""Serves the plugin. The engine starts it as `python -m local.plugins.kubernetes ENGINE_ADDRESS`."""

from __future__ import annotations

from local.plugins.bare import without_sdk

without_sdk()

from local.plugins.kubernetes.provider import Kubernetes  # noqa: E402, must follow `without_sdk()`
from local.plugins.protocol.serve import serve  # noqa: E402

serve(Kubernetes())
