"""What this machine must have before anything is started, checked at once and told in one message each."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from common import paths
from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from infra.settings.model import Settings

GIB = 1024**3
DISK_GIB = 14
"""Images, the node, and what they hold twice while they are built: 9.4 GiB once they are there."""
BUILD_GIB = 8
"""Beside that, where the engine and Kubernetes have to be built: Go's modules and what it has compiled, 6.4 GiB."""
MEMORY_GIB = 6
PYTHON = (3, 11)
ROOT_PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
}
"""Programs of the host and the Debian packages they come from."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the checks look at."""

    system: str
    root: bool
    python: tuple[int, int]
    free_disk: Mapping[str, int]
    """Bytes free, by folder."""
    available_memory: int
    listeners: Mapping[int, str]
    """Who listens on a TCP port."""
    which: Callable[[str], str | None]


def look() -> Machine:
    """This machine, now."""
    folders = {str(folder): _existing(folder) for folder in (paths.STATE, paths.cache_home())}
    return Machine(
        system=platform.system(),
        root=os.geteuid() == 0,
        python=sys.version_info[:2],
        free_disk={name: shutil.disk_usage(folder).free for name, folder in folders.items()},
        available_memory=psutil.virtual_memory().available,
        listeners=_listeners(),
        which=shutil.which,
    )


def ports_of(settings: Settings) -> dict[int, str]:
    """The ports that an embedded cluster opens on this machine, and the key that sets each."""
    cluster = settings.cluster
    if cluster.kind != "embedded":
        return {}
    nodes = cluster.node_ports
    ports = {
        **dict.fromkeys(range(nodes.first, nodes.last + 1), "modelstack:cluster: nodePorts"),
        cluster.api_port: "modelstack:cluster: apiPort",
        cluster.registry_port: "modelstack:cluster: registryPort",
        settings.tracking.node_port: "modelstack:tracking: nodePort",
    }
    return ports | {found.node_port: f"modelstack:workloads: {name}: nodePort" for name, found in settings.workloads.items()}


def check(machine: Machine, *, ports: Mapping[int, str], missing_builds: Mapping[str, str], running: bool) -> None:
    """Refuses a machine on which `up` cannot succeed.

    Args:
        machine: what to look at.
        ports: those that must be free, with the key that sets each.
        missing_builds: programs needed to build what is not cached yet, with the command that installs each.
        running: the environment is up: its ports and memory are its own, and its images are there.

    Raises:
        UserError: names the first thing that is missing and what to do.
    """
    check_user(machine.system, root=machine.root)
    if machine.python < PYTHON:
        raise UserError(
            "Python is too old.", found=".".join(map(str, machine.python)), example="3.11", fix="install Python 3.11"
        )
    programs = {name: f"apt-get install -y {package}" for name, package in ROOT_PROGRAMS.items()} | dict(missing_builds)
    if missing := [name for name in programs if machine.which(name) is None]:
        commands = " && ".join(dict.fromkeys(programs[name] for name in missing))
        raise UserError("Programs are missing on this machine.", found=", ".join(missing), fix=commands)
    if not running:
        _check_room(machine, DISK_GIB + (BUILD_GIB if missing_builds else 0))
        _check_ports(machine, ports)


def check_user(system: str, *, root: bool) -> None:
    """Refuses whoever can run no node and build no image. Comes before anything is written.

    Raises:
        UserError: not Linux, or not root.
    """
    if system != "Linux":
        fix = "run it on a Linux machine: in a virtual machine, or over ssh"
        raise UserError("Images and the embedded cluster need Linux.", found=system, fix=fix)
    if not root:
        raise UserError("Images and the embedded cluster need root: they make namespaces and mounts.", fix="run `sudo make up`")


def check_me() -> None:
    """`check_user` for whoever runs this command."""
    check_user(platform.system(), root=os.geteuid() == 0)


def _check_room(machine: Machine, disk_gib: int) -> None:
    for folder, free in machine.free_disk.items():
        if free < disk_gib * GIB:
            raise UserError(
                f"The environment needs {disk_gib} GiB of disk.",
                where=folder,
                found=f"{free / GIB:.1f} GiB free",
                fix="free some space, or move the checkout (or XDG_CACHE_HOME) to a larger disk",
            )
    if machine.available_memory < MEMORY_GIB * GIB:
        raise UserError(
            f"The environment needs {MEMORY_GIB} GiB of memory.",
            found=f"{machine.available_memory / GIB:.1f} GiB available",
            fix="end what takes it, or use a larger machine",
        )


def _check_ports(machine: Machine, ports: Mapping[int, str]) -> None:
    for port, key in ports.items():
        if port in machine.listeners:
            raise UserError(
                f"Port {port} is taken.",
                where=f"{key} in the stack file",
                found=machine.listeners[port],
                fix="stop that program, or choose another port in the stack file",
            )


def _listeners() -> dict[int, str]:
    found: dict[int, str] = {}
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            found[connection.laddr.port] = _who(connection.pid)
    return found


def _who(pid: int | None) -> str:
    if pid is None:
        return "another program"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
