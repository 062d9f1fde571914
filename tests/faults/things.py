"""The outside things of the environments. Commands know them by address; the tests know them by these names."""

from __future__ import annotations

BACKEND, REGISTRY, MODELS, API, ENDPOINT = "backend", "container registry", "model registry", "API server", "endpoint"
DEV, STAGE = "dev", "stage"
"""Stage and prod share their things: namespaces have prefixes."""


def thing(kind: str, stack: str) -> str:
    return f"{kind} of {stack}"


def things() -> list[str]:
    return [BACKEND, *(thing(kind, stack) for kind in (REGISTRY, MODELS, API, ENDPOINT) for stack in (DEV, STAGE))]
