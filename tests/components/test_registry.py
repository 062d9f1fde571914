from __future__ import annotations

import pulumi

from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from tests.harness import run


def test_a_registry_tells_its_address():
    declared = run(
        lambda: pulumi.export("address", ContainerRegistry("registry", ContainerRegistryArgs(address="localhost:5000")).address)
    )
    assert declared.outputs["address"] == "localhost:5000"


def test_a_registry_of_others_waits_for_nothing():
    registries = []
    run(lambda: registries.append(ContainerRegistry("registry", ContainerRegistryArgs(address="registry.example"))))
    assert registries[0].served_by == ()
