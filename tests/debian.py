"""Programs of Debian that tests and benchmarks need and a machine may lack: unpacked into the cache, not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from local import paths

PACKAGES = {"nginx": ("nginx",), "wrk": ("wrk", "libluajit2-5.1-2")}
PLACES = ("usr/sbin", "usr/bin")


def program(name: str) -> str:
    """Path of a program: the machine's own, else Debian's package of it."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return found or str(_unpacked(name))


def environment() -> dict[str, str]:
    """What an unpacked program needs to find the libraries it came with."""
    folders = sorted(paths.cache_home().glob("debian-*/usr/lib/*-linux-gnu"))
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, folders))}


def _unpacked(name: str) -> Path:
    root = paths.cache_entry(f"debian-{name}", *PACKAGES[name])
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            _download(PACKAGES[name], Path(folder))
            (Path(folder) / "root").rename(root)
    found = [root / place / name for place in PLACES if (root / place / name).exists()]
    assert found, f"{name} is not in Debian's packages {', '.join(PACKAGES[name])}"
    return found[0]


def _download(packages: tuple[str, ...], folder: Path) -> None:
    command = ["apt-get", "download", *packages]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)} failed: {done.stderr[-500:]}"
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
