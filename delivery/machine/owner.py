"""`modelstack up` and the owner of the environment: checks it before anything is written, and becomes it afterwards.

`check` decides, and changes nothing. `become` does what was decided. In between, `up` opens the stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import naming
from common.errors import UserError
from delivery.machine import adoption
from delivery.stacks import adopted_state, variables
from infra import ownership
from infra.ownership import NotOwnerError, Ownership, StackOwnership

if TYPE_CHECKING:
    from delivery.console.progress import Reporter
    from delivery.stacks.stack import Stack
    from infra.live_cluster import LiveCluster
    from infra.settings.model import Settings


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Why the stack may change the environment."""

    ownership: Ownership | None
    """None if the environment belongs to another owner, and the stack takes it over."""
    environment: adoption.Environment | None = None
    """What the stack takes over; None if it takes nothing over."""

    @property
    def new(self) -> bool:
        """Whether the environment does not exist yet."""
        return self.ownership is Ownership.NEW


def check(  # noqa: PLR0913 each is one thing that the decision depends on
    stack: str,
    settings: Settings,
    live: LiveCluster,
    state: adopted_state.State | None,
    progress: Reporter,
    *,
    adopt: bool,
) -> Decision:
    """Decides whether the stack may change its environment. Changes neither the stack file, nor the backend, nor the cluster.

    Args:
        stack: the name of the stack.
        settings: the settings in its stack file.
        live: what the cluster says about the environment.
        state: the state of the stack; None if the backend does not have the stack.
        progress: shows the decision.
        adopt: whether the stack takes the environment over if it belongs to another owner.

    Raises:
        NotOwnerError: the environment belongs to another owner, and `adopt` is not set.
        UserError: the cluster cannot be asked, or there is nothing to adopt.
    """
    with progress.step("owner of the environment") as step:
        backend = variables.shown_backend()
        step.note(f"backend {backend}")
        own = StackOwnership.from_resources(adopted_state.outputs_by_urn(state or {}))
        try:
            decided = ownership.decide(stack, backend, live, own)
        except NotOwnerError:
            if not adopt:
                raise
            found = adoption.read(settings, stack)
            progress.print("\n".join([f"{backend} takes the environment over.", *found.summary()]))
            return Decision(ownership=None, environment=found)
        if adopt and decided is Ownership.NEW:
            what = f"There is no environment of stack {stack} to adopt."
            raise UserError(what, where=backend, fix=f"run `modelstack up --stack {stack}` without --adopt to create it")
        if note := ownership.note(decided, stack):
            progress.print(note)
        return Decision(ownership=decided)


def become(stack: Stack, decision: Decision, settings: Settings, progress: Reporter) -> bool:
    """Takes over the environment of another owner. If the cluster has lost its copy of the id, the next update writes it again.

    Returns whether the environment was taken over.

    Raises:
        UserError: somebody else has become the owner in the meantime, or the cluster refuses the change.
    """
    if decision.environment is not None:
        adoption.take_over(stack, decision.environment, settings, variables.shown_backend(), progress)
        return True
    if decision.ownership is Ownership.LOST:
        copies = [urn for urn in adopted_state.outputs_by_urn(stack.state()) if urn.endswith(f"::{naming.OWNER_COPY}")]
        if copies:
            stack.refresh(progress, copies)  # the engine finds out that the ConfigMap is gone, and creates it again
    return False
