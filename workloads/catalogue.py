"""All workloads by name. Add a new workload here."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from workloads.markdown.workload import MARKDOWN
from workloads.tuna.workload import TUNA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workloads.declaration import Workload


class UnknownWorkloadError(LookupError):
    """No workload has this name."""


WORKLOADS: Mapping[str, Workload] = MappingProxyType({workload.name: workload for workload in (MARKDOWN, TUNA)})


def get(name: str) -> Workload:
    """Returns the workload called `name`.

    Raises:
        UnknownWorkloadError: no workload has this name. The message lists the existing names.
    """
    try:
        return WORKLOADS[name]
    except KeyError:
        msg = f"there is no workload {name!r}; there are: {', '.join(sorted(WORKLOADS))}"
        raise UnknownWorkloadError(msg) from None
