"""Values for the shell completion of options and arguments.

The values are names of folders and files. A shell runs the command at every press of the tab key, so this module has no slow
imports.
"""

from __future__ import annotations

from common import paths


def workload_names() -> list[str]:
    """Returns the names of the workloads in this checkout, sorted."""
    return sorted(file.parent.name for file in (paths.CHECKOUT / "workloads").glob("*/workload.py"))


def stack_names() -> list[str]:
    """Returns the names of the stacks that have a stack file in this checkout, sorted."""
    return sorted(file.stem.removeprefix("Pulumi.") for file in paths.CHECKOUT.glob("Pulumi.*.yaml"))
