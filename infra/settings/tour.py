"""The stacks of the tour: stage and prod on one machine, in dev's embedded cluster, to try promotion.

They have stack files of their own, which `modelstack tour` writes and git ignores. The shipped files of stage and prod are for
clusters of a team's own. A stack of the tour has all requirements of its tier. It may use no other cluster, because some of its
approvers are listed on this machine only (`infra.promotion.approvers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common import paths
from infra.sections.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.settings.model import Settings

DEV: Final = "dev"
"""The stack whose embedded cluster the tour uses, and from which it gets its releases."""
STAGE: Final = "tour-stage"
PROD: Final = "tour-prod"
_PREFIXES: Final = {STAGE: "stage-", PROD: "prod-"}
"""The prefixes of the namespaces, by stack."""
STACKS: Final = tuple(_PREFIXES)
"""The stacks of the tour, in the order in which releases are promoted."""
_CONTEXT: Final = "modelstack"
"""The name of the context in the embedded cluster's kubeconfig."""


def fix_for_missing(file: str, otherwise: str = "") -> str:
    """Returns what to do if the stack file with this name does not exist; `otherwise` if it is of no stack of the tour."""
    return "run `modelstack tour`" if file in {f"Pulumi.{stack}.yaml" for stack in STACKS} else otherwise


def cluster(stack: str) -> Mapping[str, str]:
    """Returns the value of `modelstack:cluster` in the stack file of a stack of the tour."""
    return {
        "kind": "existing",
        "context": _CONTEXT,
        "kubeconfig": str(paths.KUBECONFIG.relative_to(paths.CHECKOUT)),
        "host": "localhost",
        "namespacePrefix": _PREFIXES[stack],
    }


def problems(stack: str, settings: Settings) -> Iterator[Problem]:
    """Yields a problem if a stack of the tour does not use this checkout's embedded cluster. Nothing for other stacks."""
    if stack not in STACKS:
        return
    expected, found = cluster(stack), settings.cluster.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for key in sorted(expected.keys() | found.keys()):
        if found.get(key) != expected.get(key):
            what = f"differs from this checkout's embedded cluster, and {stack} must be in no other"
            fix = "run `modelstack tour --force`; for a cluster of your own, write the stack file of a stack of your own"
            yield Problem(f"cluster.{key}", what, found.get(key), expected.get(key, ""), fix)
