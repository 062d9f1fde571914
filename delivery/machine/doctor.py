"""`modelstack doctor`: the tools and plugins that this machine uses, real or stand-in, and a check of the machine."""

from __future__ import annotations

import shutil
from importlib import metadata

from common import paths
from common.errors import UserError
from delivery.environments import embedded_node
from delivery.machine import preflight, toolbox
from delivery.stacks import stack_file
from infra.settings import loading


def main(stack: str) -> None:
    """Runs the command."""
    from rich.console import Console
    from rich.table import Table

    settings = loading.load(stack_file.path_of(stack))
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in [*_machine(), *_tools(), *_plugins()]:
        table.add_row(name, value)
    console = Console(highlight=False)
    console.print(table)
    running = embedded_node.is_ready(embedded_node.config_of(settings))
    console.print(f"node: {'running' if running else 'not running'}", markup=False)
    try:
        ports = preflight.ports_of(settings)
        preflight.check(preflight.inspect_machine(), ports=ports, missing_builds=toolbox.missing_builds(), running=running)
    except UserError as error:
        console.print(str(error), markup=False)
        raise SystemExit(1) from None
    console.print("This machine meets the requirements.")


def _machine() -> list[tuple[str, str]]:
    machine = preflight.inspect_machine()
    disks = ", ".join(f"{free / preflight.GIB:.0f} GiB free at {folder}" for folder, free in machine.free_disk.items())
    memory = f"{machine.available_memory / preflight.GIB:.1f} GiB available"
    return [("system", machine.system), ("memory", memory), ("disk", disks)]


def _tools() -> list[tuple[str, str]]:
    engine = paths.BIN / "pulumi"
    location = (
        str(engine.resolve()) if engine.exists() else "not installed yet: `modelstack tools` finds, downloads or builds it"
    )
    go = shutil.which("go") or "not on PATH (needed only to build tools that are not in the cache)"
    cached = ", ".join(sorted(path.name for path in paths.cache_home().glob("*-*"))) or "nothing"
    return [
        ("engine", location),
        ("Pulumi SDK", metadata.version("pulumi")),
        ("go", go),
        ("cache", f"{paths.cache_home()}: {cached}"),
    ]


def _plugins() -> list[tuple[str, str]]:
    from local.plugins import install

    engine = paths.BIN / "pulumi"
    plugins = install.installed(engine if engine.exists() else None)
    return [(f"{plugin.kind} plugin {plugin.name}", f"{plugin.source.value} {plugin.version}") for plugin in plugins]
