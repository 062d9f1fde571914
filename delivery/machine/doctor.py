"""`modelstack doctor`: what is real, what stands in for what, and whether this machine will do."""

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
    for what, found in [*_machine(), *_tools(), *_plugins()]:
        table.add_row(what, found)
    console = Console(highlight=False)
    console.print(table)
    found = embedded_node.config_of(settings)
    running = embedded_node.is_ready(found)
    console.print(f"node: {'running' if running else 'not running'}", markup=False)
    try:
        ports = preflight.ports_of(settings)
        preflight.check(preflight.look(), ports=ports, missing_builds=toolbox.missing_builds(), running=running)
    except UserError as error:
        console.print(str(error), markup=False)
        raise SystemExit(1) from None
    console.print("This machine will do.")


def _machine() -> list[tuple[str, str]]:
    machine = preflight.look()
    disks = ", ".join(f"{free / preflight.GIB:.0f} GiB free at {folder}" for folder, free in machine.free_disk.items())
    memory = f"{machine.available_memory / preflight.GIB:.1f} GiB available"
    return [("system", machine.system), ("memory", memory), ("disk", disks)]


def _tools() -> list[tuple[str, str]]:
    engine = paths.BIN / "pulumi"
    where = str(engine.resolve()) if engine.exists() else "not there yet: `modelstack tools` finds, downloads or builds it"
    go = shutil.which("go") or "not on PATH (needed only to build what is not in the cache)"
    cached = ", ".join(sorted(path.name for path in paths.cache_home().glob("*-*"))) or "nothing"
    return [
        ("engine", where),
        ("Pulumi SDK", metadata.version("pulumi")),
        ("go", go),
        ("cache", f"{paths.cache_home()}: {cached}"),
    ]


def _plugins() -> list[tuple[str, str]]:
    from local.plugins import install

    engine = paths.BIN / "pulumi"
    found = install.installed(engine if engine.exists() else None)
    return [(f"{plugin.kind} plugin {plugin.name}", f"{plugin.source.value} {plugin.version}") for plugin in found]
