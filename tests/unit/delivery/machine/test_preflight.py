"""Machines on which `up` cannot succeed are refused with one message that says what to do."""

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


def test_a_good_machine_passes():
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
def test_what_is_missing_is_named_with_the_remedy(change, words):
    with pytest.raises(UserError) as refusal:
        check(replace(GOOD, **change))
    assert [word for word in words if word not in str(refusal.value)] == []


def test_whoever_is_not_root_is_told_before_anything_is_written(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for command in (lambda: up.main("dev", "endpoint"), lambda: down.main("dev")):
        with pytest.raises(UserError, match="sudo make up"):
            command()


def test_an_environment_that_is_up_may_hold_its_own_ports_and_memory():
    check(replace(GOOD, listeners={6443: "hyperkube"}, available_memory=preflight.GIB), running=True)


def test_what_builds_need_is_asked_for_only_where_something_is_to_be_built():
    bare = replace(GOOD, which=lambda name: None if name == "go" else name)
    check(bare)
    with pytest.raises(UserError, match="make setup"):
        check(bare, missing_builds={"go": "make setup"})


def test_this_machine_can_be_looked_at():
    assert preflight.look().free_disk, "the folders need not exist yet"
