"""Checks this machine before a command starts anything. Each unmet requirement has its own error message."""

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
"""For the images, the node, and the temporary copies during builds. Afterwards, 9.4 GiB stay in use."""
BUILD_GIB = 8
"""In addition, if the engine and Kubernetes must be built: Go modules and compiled packages take 6.4 GiB."""
MEMORY_GIB = 6
PYTHON = (3, 11)
ROOT_PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
}
"""Required programs, and the Debian packages that contain them."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The properties of a machine that the checks use."""

    system: str
    root: bool
    python: tuple[int, int]
    free_disk: Mapping[str, int]
    """Free bytes, by folder."""
    available_memory: int
    """In bytes."""
    listeners: Mapping[int, str]
    """The programs that listen on TCP ports, by port."""
    which: Callable[[str], str | None]
    """Finds a program on PATH, like `shutil.which`."""


def inspect_machine() -> Machine:
    """Returns the current properties of this machine."""
    folders = {str(folder): _nearest_existing(folder) for folder in (paths.STATE, paths.cache_home())}
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
    """Returns the ports that the node of this checkout opens, each with the key in the stack file that sets it."""
    node = settings.cluster.node
    if node is None:
        return {}
    ports = {
        **dict.fromkeys(range(node.node_ports.first, node.node_ports.last + 1), "modelstack:cluster: nodePorts"),
        **{port: f"modelstack:{key.replace('.', ': ')}" for key, port in settings.cluster.own_ports.items()},
        settings.tracking.node_port: "modelstack:tracking: nodePort",
    }
    return ports | {each.node_port: f"modelstack:workloads: {name}: nodePort" for name, each in settings.workloads.items()}


def check(machine: Machine, *, ports: Mapping[int, str], missing_builds: Mapping[str, str], running: bool) -> None:
    """Checks that `up` can succeed on a machine.

    Args:
        machine: the properties of the machine.
        ports: the ports that must be free, each with the key in the stack file that sets it.
        missing_builds: programs that are needed to build tools missing in the cache, each with the command that installs it.
        running: whether the environment is up. Then it uses the ports and the memory itself, and its images exist.

    Raises:
        UserError: the machine does not meet a requirement; the message names the first one and the fix.
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
        _check_disk_and_memory(machine, DISK_GIB + (BUILD_GIB if missing_builds else 0))
        _check_ports(machine, ports)


def check_user(system: str, *, root: bool) -> None:
    """Checks that the user can run a node and build images. Runs before a command writes anything.

    Raises:
        UserError: the system is not Linux, or the user is not root.
    """
    if system != "Linux":
        fix = "run the command on a Linux machine, for example in a virtual machine or over ssh"
        raise UserError("Images and the embedded cluster need Linux.", found=system, fix=fix)
    if not root:
        raise UserError(
            "Images and the embedded cluster need root, because they create namespaces and mounts.", fix="run `sudo make up`"
        )


def check_current_user() -> None:
    """Runs `check_user` for the user of this process."""
    check_user(platform.system(), root=os.geteuid() == 0)


def _check_disk_and_memory(machine: Machine, disk_gib: int) -> None:
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
            fix="end programs that use much memory, or use a larger machine",
        )


def _check_ports(machine: Machine, ports: Mapping[int, str]) -> None:
    for port, key in ports.items():
        if port in machine.listeners:
            raise UserError(
                f"Port {port} is in use.",
                where=f"{key} in the stack file",
                found=machine.listeners[port],
                fix="stop that program, or choose another port in the stack file",
            )


def _listeners() -> dict[int, str]:
    listeners: dict[int, str] = {}
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            listeners[connection.laddr.port] = _program(connection.pid)
    return listeners


def _program(pid: int | None) -> str:
    if pid is None:
        return "another program"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


def _nearest_existing(folder: Path) -> Path:
    """Returns the folder, or its nearest parent that exists."""
    return folder if folder.exists() else _nearest_existing(folder.parent)
