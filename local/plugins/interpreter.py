"""Which Python runs a program, and what is installed for it: found by looking at files, no process is started."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, cast

DEFAULT_VIRTUALENVS = {"uv": ".venv", "poetry": ".venv"}
"""Where a toolchain named in Pulumi.yaml keeps its environment when the option `virtualenv` does not say so."""


class NoInterpreterError(Exception):
    """The environment that Pulumi.yaml names is not there."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """An installed Pulumi package and the plugin it needs."""

    name: str
    version: str
    server: str = ""
    parameterization: tuple[str, str, bytes] | None = None


@dataclass(frozen=True)
class Interpreter:
    """A Python and the folders its packages are in."""

    executable: Path
    folders: tuple[Path, ...]

    def packages(self) -> list[Package]:
        """Installed packages that ship a `pulumi-plugin.json`, in order of their names."""
        found: dict[str, Package] = {}
        for folder in self.folders:
            for file in sorted(folder.glob("*/pulumi-plugin.json")):
                package = _package(file)
                if package is not None:
                    found.setdefault(package.name, package)
        return [found[name] for name in sorted(found)]

    def dependencies(self, *, transitive: bool) -> list[tuple[str, str]]:
        """Names and versions of what is installed; without `transitive` only what nothing else requires."""
        installed = {_normal(d.name): d for d in metadata.distributions(path=[str(folder) for folder in self.folders])}
        needed = set[str]()
        if not transitive:
            for distribution in installed.values():
                needed.update(
                    _normal(_requirement_name(line)) for line in distribution.requires or [] if "extra ==" not in line
                )
        return sorted((d.name, d.version) for name, d in installed.items() if name not in needed)


def of_program(root: str, options: dict[str, Any]) -> Interpreter:
    """The interpreter that the `runtime` block of a Pulumi.yaml in `root` asks for: this one where it names none."""
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
    """The version of something installed beside this code."""
    return metadata.version(distribution)


def _package(file: Path) -> Package | None:
    described = _read(file)
    if described is None or not described.get("resource", False):
        return None
    name = str(described.get("name") or file.parent.name.removeprefix("pulumi_").replace("_", "-"))
    version = str(described.get("version") or _installed_version(file.parent)).removeprefix("v")
    parameter = described.get("parameterization")
    return Package(
        name=name,
        version=version,
        server=str(described.get("server", "")),
        parameterization=(parameter["name"], parameter["version"], base64.b64decode(parameter["value"])) if parameter else None,
    )


def _read(file: Path) -> dict[str, Any] | None:
    try:
        described = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", described) if isinstance(described, dict) else None


def _installed_version(package: Path) -> str:
    for info in package.parent.glob(f"{package.name}-*.dist-info"):
        return info.name.removesuffix(".dist-info").removeprefix(f"{package.name}-")
    return ""


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _requirement_name(line: str) -> str:
    end = next((at for at, char in enumerate(line) if not (char.isalnum() or char in "-_.")), len(line))
    return line[:end]
