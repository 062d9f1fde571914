"""Finds the Python interpreter of a program and its installed packages. Reads files only and starts no process."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, cast

DEFAULT_VIRTUALENVS = {"uv": ".venv", "poetry": ".venv"}
"""By toolchain in Pulumi.yaml: the folder of the virtual environment if the option `virtualenv` is not set."""


class NoInterpreterError(Exception):
    """The virtual environment that Pulumi.yaml names does not exist."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """An installed Pulumi package and the plugin it needs."""

    name: str
    version: str
    server: str = ""
    parameterization: tuple[str, str, bytes] | None = None


@dataclass(frozen=True)
class Interpreter:
    """A Python executable and the folders that contain its packages."""

    executable: Path
    folders: tuple[Path, ...]

    def packages(self) -> list[Package]:
        """Returns the installed packages that contain a `pulumi-plugin.json`, sorted by name."""
        found: dict[str, Package] = {}
        for folder in self.folders:
            for file in sorted(folder.glob("*/pulumi-plugin.json")):
                package = _package(file)
                if package is not None:
                    found.setdefault(package.name, package)
        return [found[name] for name in sorted(found)]

    def dependencies(self, *, transitive: bool) -> list[tuple[str, str]]:
        """Returns names and versions of the installed packages; without `transitive`, only those that no other one requires."""
        installed = {_normalized(d.name): d for d in metadata.distributions(path=[str(folder) for folder in self.folders])}
        needed = set[str]()
        if not transitive:
            for distribution in installed.values():
                needed.update(
                    _normalized(_requirement_name(line)) for line in distribution.requires or [] if "extra ==" not in line
                )
        return sorted((d.name, d.version) for name, d in installed.items() if name not in needed)


def for_program(root: str, options: dict[str, Any]) -> Interpreter:
    """Returns the interpreter that the `runtime` options of the Pulumi.yaml in `root` name, by default the one of this process.

    Raises:
        NoInterpreterError: the virtual environment does not exist.
    """
    virtualenv = options.get("virtualenv") or DEFAULT_VIRTUALENVS.get(str(options.get("toolchain", "")))
    if not virtualenv:
        return Interpreter(Path(sys.executable), tuple(Path(entry) for entry in sys.path if entry.endswith("-packages")))
    home = Path(root, str(virtualenv))
    executable = home / "bin" / "python"
    if not executable.exists():
        raise NoInterpreterError(
            f"The option `virtualenv` of the project's runtime is {virtualenv}, but {executable} does not exist.\n"
            f"Create it with `pulumi install`, or with `python3 -m venv {home}` and an installation of `pulumi` into it."
        )
    return Interpreter(executable, tuple(sorted(home.glob("lib/python*/site-packages"))))


def version_of(distribution: str) -> str:
    """Returns the version of a distribution that is installed for this interpreter."""
    return metadata.version(distribution)


def _package(file: Path) -> Package | None:
    manifest = _read(file)
    if manifest is None or not manifest.get("resource", False):
        return None
    name = str(manifest.get("name") or file.parent.name.removeprefix("pulumi_").replace("_", "-"))
    version = str(manifest.get("version") or _installed_version(file.parent)).removeprefix("v")
    parameter = manifest.get("parameterization")
    return Package(
        name=name,
        version=version,
        server=str(manifest.get("server", "")),
        parameterization=(parameter["name"], parameter["version"], base64.b64decode(parameter["value"])) if parameter else None,
    )


def _read(file: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", manifest) if isinstance(manifest, dict) else None


def _installed_version(package: Path) -> str:
    for info in package.parent.glob(f"{package.name}-*.dist-info"):
        return info.name.removesuffix(".dist-info").removeprefix(f"{package.name}-")
    return ""


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _requirement_name(line: str) -> str:
    end = next((at for at, char in enumerate(line) if not (char.isalnum() or char in "-_.")), len(line))
    return line[:end]
