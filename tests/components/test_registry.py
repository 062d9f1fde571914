from __future__ import annotations

import pulumi

from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from tests.harness import run


def test_the_output_is_the_address_of_the_container_registry():
    declared = run(
        lambda: pulumi.export("address", ContainerRegistry("registry", ContainerRegistryArgs(address="localhost:5000")).address)
    )
    assert declared.outputs["address"] == "localhost:5000"


def test_an_external_container_registry_depends_on_no_resource():
    registries = []
    run(lambda: registries.append(ContainerRegistry("registry", ContainerRegistryArgs(address="registry.example"))))
    assert registries[0].served_by == ()
