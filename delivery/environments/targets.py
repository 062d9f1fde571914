"""`modelstack target`: shows the targets of each tier, and registers the target of a stack."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

from common.answers import Unknown
from delivery.console.tables import plain_table, wide_console
from delivery.stacks import lock, stack_file, tiers_file
from infra import live_cluster
from infra.settings import loading
from infra.tiers import loading as tiers
from infra.tiers import targets
from infra.tiers.model import FILE_NAME
from infra.tiers.targets import Standing

_WIDTH: Final = 160
_NEW: Final = frozenset({Standing.UNREGISTERED, Standing.OTHER_IMAGES})
"""The standings of a target that the command adds."""


def show(*, as_json: bool) -> None:
    """Prints the registered targets."""
    content = tiers.load()
    if as_json:
        print(json.dumps([asdict(target) for target in content.targets], indent=2))
        return
    table = plain_table("tier", "cluster", "context", "namespaces", "images", "stacks")
    table.columns[1].no_wrap = True
    for target in content.targets:
        stacks = ", ".join(name for name, stack in content.stacks.items() if stack.tier.name == target.tier)
        namespaces = f"{target.namespace_prefix}*"
        table.add_row(target.tier, target.cluster, target.context or "-", namespaces, target.images, stacks)
    wide_console(_WIDTH).print(table)


def register(stack: str, *, replace: bool, dry_run: bool) -> None:
    """Registers the target of a stack for its tier, and prints the change of the file.

    With `replace`, the target comes in the place of the one that the tier has under the same context, or in the same cluster
    under the same namespace prefix. With `dry_run`, nothing is written.

    Raises:
        UserError: the cluster cannot be asked which one it is; the target, or its context, belongs to another tier; or the
            target moved and `replace` is not set.
    """
    with lock.exclusive(f"target register --stack {stack}"):
        tier = tiers_file.resolve(stack)
        settings = loading.load(stack_file.path_of(stack))
        finding = targets.find(tier, settings, live_cluster.read(settings))
        if isinstance(finding, Unknown):
            raise finding.error(
                f"The cluster of stack {stack} could not be asked which cluster it is, so nothing is registered."
            )
        if finding.standing is Standing.REGISTERED:
            print(f"The target of stack {stack} is registered for tier {tier.tier.name}: nothing changes.")
            return
        if finding.standing not in _NEW and not (finding.standing is Standing.MOVED and replace):
            error = targets.refusal(tier, finding)
            assert error is not None, "each of these targets is refused"
            raise error
        edit = tiers_file.register(finding.target, finding.related if replace else ())
        if not dry_run:
            edit.write()
    print(edit.diff)
    if dry_run:
        print("Nothing was written.")
    else:
        print(f"Next: commit {FILE_NAME} and have the change reviewed, then run `modelstack up --stack {stack}`")
