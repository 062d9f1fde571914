"""Installs the plugins that `pulumi` needs: official plugins if they can be downloaded, otherwise the stand-ins in this folder.

A stand-in is a script of two lines in the engine's plugin folder, in the folder for the version of the installed SDK. It starts
`python -m local.plugins.NAME` with the Python that installed it. The stand-in for the language host is installed there too: a
Pulumi that was built from source has no language host beside it, and the engine finds this one without a warning.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from common import paths
from local.toolchain import download, link

if TYPE_CHECKING:
    from common.progress import Progress

RESOURCE_PLUGINS = ("command", "docker", "kubernetes", "random")
"""Providers that the programs use. Each has a stand-in in this folder."""
MARK = "# stand-in of modelstack"
DOWNLOAD_SECONDS = 300


class Source(Enum):
    """Where a plugin comes from."""

    OFFICIAL = "official"
    STAND_IN = "stand-in"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin, as the engine finds it at this moment."""

    kind: str
    name: str
    version: str
    source: Source
    path: Path


def installed(pulumi: Path | None = None) -> list[Plugin]:
    """Returns each plugin that the programs use, and whether it is the official one or a stand-in.

    Args:
        pulumi: the engine's executable. An official release has its language host beside it.
    """
    return [_find("resource", name, _version(name), None) for name in RESOURCE_PLUGINS] + [
        _find("language", "python", metadata.version("pulumi"), pulumi)
    ]


def install(progress: Progress, pulumi: Path, *, retry: bool = False) -> list[Plugin]:
    """Makes every plugin available, and `pulumi` a command in `paths.BIN`. Does nothing if everything is installed.

    Args:
        progress: shows a step only if a plugin has to be installed.
        pulumi: the engine's executable.
        retry: try the download site again although it did not respond, or a download failed, within the last day.

    Returns:
        The result of `installed` afterwards.
    """
    link(pulumi)
    to_install = [plugin for plugin in installed(pulumi) if not _is_up_to_date(plugin, retry=retry)]
    if to_install:
        with progress.step("plugins") as step:
            for done, plugin in enumerate(to_install):
                step.advance(done, len(to_install))
                step.note(plugin.name)
                if plugin.kind == "language" or not _download(plugin, pulumi, retry=retry):
                    _write_stand_in(plugin)
    return installed(pulumi)


def _version(name: str) -> str:
    return metadata.version(f"pulumi-{name}")


def _folder(kind: str, name: str, version: str) -> Path:
    return paths.PULUMI_HOME / "plugins" / f"{kind}-{name}-v{version}"


def _find(kind: str, name: str, version: str, pulumi: Path | None) -> Plugin:
    file = f"pulumi-{kind}-{name}"
    own = _folder(kind, name, version) / file
    # This is the engine's order: PATH (any version), beside the engine (language hosts only), its plugin folder.
    beside = [pulumi.resolve().parent / file] if pulumi and kind == "language" else []
    ambient = shutil.which(file)
    for path in [*([Path(ambient)] if ambient else []), *beside, own]:
        if path.is_file():
            source = Source.STAND_IN if _is_stand_in(path) else Source.OFFICIAL
            return Plugin(kind=kind, name=name, version=version, source=source, path=path)
    return Plugin(kind=kind, name=name, version=version, source=Source.MISSING, path=own)


def _is_stand_in(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(256)


def _is_up_to_date(plugin: Plugin, *, retry: bool) -> bool:
    if plugin.source is Source.OFFICIAL:
        return True
    if plugin.source is Source.MISSING or plugin.path.read_text() != _script(plugin):
        return False
    return plugin.kind == "language" or (not retry and download.recently_unreachable())


def _script(plugin: Plugin) -> str:
    module = "language" if plugin.kind == "language" else plugin.name
    python = sys.executable.replace("'", "'\\''")
    # -P: the plugin starts in a folder of the user, which may contain modules of any name.
    return f"#!/bin/sh\n{MARK}, see local/plugins/README.md\nexec '{python}' -P -m local.plugins.{module} \"$@\"\n"


def _write_stand_in(plugin: Plugin) -> None:
    folder = _folder(plugin.kind, plugin.name, plugin.version)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"pulumi-{plugin.kind}-{plugin.name}"
    temporary = folder / f".{os.getpid()}"
    temporary.write_text(_script(plugin))
    temporary.chmod(0o755)
    temporary.replace(file)


def _download(plugin: Plugin, pulumi: Path, *, retry: bool) -> bool:
    archive = f"pulumi-resource-{plugin.name}-v{plugin.version}-{download.PLATFORM}.tar.gz"
    if not download.is_available(f"{download.SITE}/releases/plugins/{archive}", retry=retry):
        return False
    folder = _folder(plugin.kind, plugin.name, plugin.version)
    shutil.rmtree(folder, ignore_errors=True)
    command = [pulumi, "plugin", "install", "resource", plugin.name, plugin.version]
    environment = {**os.environ, "PULUMI_HOME": str(paths.PULUMI_HOME), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        subprocess.run(command, env=environment, capture_output=True, check=True, timeout=DOWNLOAD_SECONDS)
    except (OSError, subprocess.SubprocessError):
        download.record_unreachable()
        return False
    return True
