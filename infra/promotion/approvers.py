"""The approvers whose signatures an environment accepts.

They are listed in a file of the workload that is reviewed like code. Whoever tries prod on one machine (`infra.settings.tour`)
has no colleague who could approve, and must not list an invented one for the real prod. So the stacks of the tour accept a
list on this machine as well. No other stack reads it, and an approval is valid only for the stack that it was given for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from common import paths
from common.errors import UserError
from infra.settings import tour
from workloads.declaration import read_approvers

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.declaration import Workload


def tour_folder(workload: str) -> Path:
    """Returns the folder whose `approvers.json` lists the approvers of a workload in the stacks of the tour."""
    return paths.TOUR / workload


def for_stack(stack: str, workload: Workload) -> Workload:
    """Returns the declaration with the approvers that count in a stack: in a stack of the tour, also those of this machine.

    Raises:
        UserError: the list of this machine is invalid.
    """
    if stack not in tour.STACKS:
        return workload
    folder = tour_folder(workload.name)
    try:
        listed = read_approvers(folder)
    except ValidationError as error:
        fix = f"delete the folder, then run `modelstack key --tour --workload {workload.name}`"
        raise UserError(
            "The list of approvers for the tour is invalid.", where=str(folder), found=error.errors()[0]["msg"], fix=fix
        ) from None
    return workload.model_copy(update={"approvers": (*workload.approvers, *listed)})
