"""The checks of a machine: each unmet requirement has an error message with its fix."""

import os
from dataclasses import replace

import pytest

from common.errors import UserError
from delivery.machine import down, preflight, up

GOOD = preflight.Machine(
    system="Linux",
    root=True,
    python=(3, 11),
    free_disk={"/checkout/.modelstack": 50 * preflight.GIB},
    available_memory=16 * preflight.GIB,
    listeners={},
    which=lambda name: f"/usr/bin/{name}",
)
PORTS = {6443: "modelstack:cluster: apiPort"}


def check(machine, *, running=False, missing_builds=None):
    preflight.check(machine, ports=PORTS, missing_builds=missing_builds or {}, running=running)


def test_a_machine_that_meets_all_requirements_passes():
    check(GOOD)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"system": "Darwin"}, ["Linux", "Darwin"]),
        ({"root": False}, ["root", "sudo make up"]),
        ({"python": (3, 9)}, ["Python", "3.9", "3.11"]),
        ({"free_disk": {"/small": 3 * preflight.GIB}}, ["14 GiB of disk", "/small", "3.0 GiB free"]),
        ({"available_memory": 2 * preflight.GIB}, ["6 GiB of memory", "2.0 GiB available"]),
        ({"listeners": {6443: "k3s (process 7)"}}, ["Port 6443", "k3s (process 7)", "modelstack:cluster: apiPort"]),
        ({"which": lambda name: None if name == "ip" else name}, ["ip", "apt-get install -y iproute2"]),
    ],
)
def test_the_error_names_the_unmet_requirement_and_the_fix(change, words):
    with pytest.raises(UserError) as refusal:
        check(replace(GOOD, **change))
    assert [word for word in words if word not in str(refusal.value)] == []


def test_a_user_without_root_is_refused_before_a_command_writes_anything(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for command in (lambda: up.main("dev", "endpoint"), lambda: down.main("dev")):
        with pytest.raises(UserError, match="sudo make up"):
            command()


def test_the_ports_and_memory_of_a_running_environment_are_not_checked():
    check(replace(GOOD, listeners={6443: "hyperkube"}, available_memory=preflight.GIB), running=True)


def test_build_tools_are_required_only_if_something_must_be_built():
    bare = replace(GOOD, which=lambda name: None if name == "go" else name)
    check(bare)
    with pytest.raises(UserError, match="make setup"):
        check(bare, missing_builds={"go": "make setup"})


def test_the_properties_of_this_machine_can_be_read():
    assert preflight.inspect_machine().free_disk, "the free space is known even if the folders do not exist yet"
