"""Serves the plugin: `python -m local.plugins.kubernetes ENGINE_ADDRESS`, started by the engine."""

from __future__ import annotations

from local.plugins.kubernetes.provider import Kubernetes
from local.plugins.serve import serve

serve(Kubernetes())
