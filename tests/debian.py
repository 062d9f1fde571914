"""Programs of Debian that tests and benchmarks need and a machine may lack: unpacked into the cache, not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from common import paths

PACKAGES = {
    "nginx": ("nginx",),
    "wrk": ("wrk", "libluajit2-5.1-2"),
    "chromium-headless-shell": ("chromium-headless-shell", "fonts-dejavu-core"),
}
MANY_LIBRARIES = {"chromium-headless-shell"}
"""Programs whose libraries are too many to be named here: all that the machine lacks of them are unpacked as well."""
PLACES = ("usr/lib/chromium", "usr/sbin", "usr/bin")
"""Chromium's first: in `usr/bin` there is a script that starts the one installed."""
LIBRARIES = ("usr/lib/*-linux-gnu", "usr/lib/*-linux-gnu/pulseaudio", "lib/*-linux-gnu")


def program(name: str) -> str:
    """Path of a program: the machine's own, else Debian's package of it."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return found or str(_unpacked(name))


def environment() -> dict[str, str]:
    """What unpacked programs need to find the libraries they came with."""
    folders = [folder for place in LIBRARIES for folder in sorted(paths.cache_home().glob(f"debian-*/{place}"))]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, folders))}


def root_of(name: str) -> Path:
    """Where a program's packages are unpacked, were they needed: what would be `/` if they were installed."""
    return paths.cache_entry(f"debian-{name}", *PACKAGES[name])


def _unpacked(name: str) -> Path:
    root = root_of(name)
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            packages = _missing(PACKAGES[name]) if name in MANY_LIBRARIES else PACKAGES[name]
            _download(packages, Path(folder))
            (Path(folder) / "root").rename(root)
    found = [root / place / name for place in PLACES if (root / place / name).exists()]
    assert found, f"{name} is not in Debian's packages {', '.join(PACKAGES[name])}"
    return found[0]


def _missing(packages: tuple[str, ...]) -> tuple[str, ...]:
    """These packages and those they depend on, as far as the machine lacks them.

    What it has in an older version stays: a C library beside the machine's own would let nothing start.
    """
    said = _apt(["apt-get", "install", "--simulate", "--no-install-recommends", *packages])
    planned = [line.split() for line in said.splitlines() if line.startswith("Inst ")]
    return tuple(name for _, name, version, *_ in planned if not version.startswith("["))


def _download(packages: tuple[str, ...], folder: Path) -> None:
    _apt(["apt-get", "download", *packages], folder)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)


def _apt(command: list[str], folder: Path | None = None) -> str:
    """What a command of apt says. Where it fails, its lists may be too old, and are updated."""
    for attempt in ("as it is", "updated"):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
        if attempt == "as it is":
            subprocess.run(["apt-get", "update"], capture_output=True, check=False)
    raise AssertionError(f"{' '.join(command)} failed: {done.stderr[-500:]}")
