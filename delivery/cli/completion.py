"""Values that a shell offers for options and arguments.

They come from the names of folders and files. A shell asks at every press of the tab key, so this module imports nothing slow.
"""

from __future__ import annotations

from common import paths


def workload_names() -> list[str]:
    """The workloads in this checkout."""
    return sorted(file.parent.name for file in (paths.CHECKOUT / "workloads").glob("*/workload.py"))


def stack_names() -> list[str]:
    """The stacks that have a stack file in this checkout."""
    return sorted(file.stem.removeprefix("Pulumi.") for file in paths.CHECKOUT.glob("Pulumi.*.yaml"))
