from __future__ import annotations

import pulumi

from components.container_registry import Registry, RegistryArgs
from tests.harness import run


def test_a_registry_tells_its_address():
    declared = run(lambda: pulumi.export("address", Registry("registry", RegistryArgs(address="localhost:5000")).address))
    assert declared.outputs["address"] == "localhost:5000"


def test_a_registry_of_others_waits_for_nothing():
    registries = []
    run(lambda: registries.append(Registry("registry", RegistryArgs(address="registry.example"))))
    assert registries[0].served_by == ()
