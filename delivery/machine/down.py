"""`modelstack down`: destroys an environment, whatever state it is in, and leaves no process of it running."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.console.progress import reporter
from delivery.environments import embedded_node
from delivery.machine import preflight, tour_files
from delivery.stacks import adopted_state, backend, lock, recovery, stack_file, variables
from infra import live_cluster, ownership
from infra.ownership import NotOwnerError, StackOwnership
from infra.settings import loading, tour

if TYPE_CHECKING:
    from delivery.console.progress import Reporter
    from infra.settings.model import Settings
    from local.node.config import NodeConfig

_ENVIRONMENT_PATHS = (
    paths.NODE,
    paths.BACKEND,
    paths.PASSPHRASE,
    paths.KUBECONFIG,
    paths.TOUR,
    paths.STATE / "held-out",
    paths.STATE / "scratch",
)
"""The paths that `down` deletes. Tools, plugins, image layers and logs stay, which makes the next `up` faster."""
_REMOVE_NODE = "delete the node with all environments in it: `modelstack node stop --remove-data`"


def main(stack: str) -> None:
    """Runs the command."""
    preflight.check_current_user()
    if stack in tour.STACKS:
        _down_tour(stack)
        return
    settings = loading.load(stack_file.path_of(stack))
    with reporter("down") as progress, lock.exclusive(f"down --stack {stack}"):
        # Before anything is removed: another engine may be working on the stack.
        recovery.release_locks(recovery.lock_folder(paths.BACKEND, stack), progress)
        node_config = embedded_node.config_of(settings)
        _refuse_other_owner(stack, settings)
        if node_config is None:
            _destroy(stack, progress)
            print(f"Stack {stack} is destroyed.")
            return
        if embedded_node.is_ready(node_config):
            _refuse_guests_of_other_backends(stack, settings)
        _destroy_embedded(stack, node_config, progress)
    print("Nothing of the environment is left. `make up` creates it again.")


def _refuse_other_owner(stack: str, settings: Settings) -> None:
    """Refuses an environment of another owner, and one in a cluster that runs and cannot be asked for the owner.

    An embedded node that does not run can still be removed, with all that is in it.
    """
    from delivery.stacks.stack import Stack

    live = live_cluster.read(settings)
    if isinstance(live.owner, Unknown):
        _refuse_unknown_owner(stack, settings, live.owner)
        return
    if isinstance(live.owner, Absent) and isinstance(live.database, Absent):
        return  # no environment is there
    state = Stack.select(stack).state() if backend.has_stack(stack) else {}
    own = StackOwnership.from_resources(adopted_state.outputs_by_urn(state))
    try:
        ownership.decide(stack, variables.shown_backend(), live, own)
    except NotOwnerError as error:
        fix = f"use the owner's backend (PULUMI_BACKEND_URL); or run `modelstack up --adopt --stack {stack}`, then this command"
        if embedded_node.config_of(settings) is not None:
            fix += f"; or {_REMOVE_NODE}"
        raise UserError(error.what, where=error.where, found=error.found, fix=fix) from None


def _refuse_guests_of_other_backends(stack: str, settings: Settings) -> None:
    """Refuses to remove a node with environments of which this backend has no state: nobody here could bring them back."""
    known = {stack, *backend.stacks()}
    match live_cluster.environments(settings.cluster):
        case Found(value=owners):
            if guests := [owner for name, owner in owners.items() if name not in known]:
                raise UserError(
                    f"Environments of other owners use the cluster of stack {stack}. Nothing is destroyed.",
                    where=f"backend {variables.shown_backend()}",
                    found="; ".join(guests),
                    fix=f"run `modelstack down` for each of them with its backend (PULUMI_BACKEND_URL); or {_REMOVE_NODE}",
                )
        case Unknown() as unknown:
            _refuse_unknown_owner(stack, settings, unknown)
        case Absent():
            return


def _refuse_unknown_owner(stack: str, settings: Settings, unknown: Unknown) -> None:
    """Refuses an environment whose owner is not known, unless it is in a node of this machine that does not run."""
    node_config = embedded_node.config_of(settings)
    fix = unknown.fix or "check the cluster, then run the command again"
    if node_config is None:
        fix += f"; if the cluster is gone for good: PULUMI_K8S_DELETE_UNREACHABLE=true pulumi destroy --stack {stack}"
    elif embedded_node.is_ready(node_config):
        fix += f"; or {_REMOVE_NODE}"
    else:
        return
    what = f"It is not known who owns the environment of stack {stack}: its cluster cannot be asked. Nothing is destroyed."
    raise UserError(what, where=unknown.where, found=unknown.reason, fix=fix)


def _down_tour(stack: str) -> None:
    """Destroys a stack of the tour with all that belongs to it: its releases have no model without its MLflow."""
    with reporter("down") as progress, lock.exclusive(f"down --stack {stack}"):
        recovery.release_locks(recovery.lock_folder(paths.BACKEND, stack), progress)
        if backend.has_stack(stack):
            if not stack_file.path_of(stack).exists():
                what = f"Stack {stack} has no stack file, so the engine does not know its settings."
                raise UserError(
                    what, where=stack_file.path_of(stack).name, fix="run `modelstack tour`, then this command again"
                )
            _refuse_other_owner(stack, loading.load(stack_file.path_of(stack)))
            _destroy(stack, progress)
            print(f"Stack {stack} is destroyed.")
        elif stack_file.path_of(stack).exists():
            _refuse_owner_elsewhere(stack)
        print(tour_files.clean(stack) or f"Nothing of stack {stack} is left.")


def _refuse_owner_elsewhere(stack: str) -> None:
    """Refuses to delete the stack file of an environment that a stack of another backend owns.

    A cluster that does not answer is no reason to keep the file: dev may be down already, and the cluster with it.
    """
    settings = loading.load(stack_file.path_of(stack))
    if isinstance(live_cluster.read(settings).owner, Found):
        _refuse_other_owner(stack, settings)


def _destroy(stack: str, progress: Reporter) -> None:
    from delivery.stacks.stack import Stack

    opened = Stack.select(stack)
    opened.destroy(progress)
    opened.remove()


def _destroy_embedded(stack: str, node_config: NodeConfig, progress: Reporter) -> None:
    others = _other_stacks(stack)
    if guests := [name for name in others if _uses_embedded_cluster(name)]:
        raise UserError(
            f"Other environments use the cluster of stack {stack}.",
            found=", ".join(guests),
            fix=f"run `modelstack down --stack {guests[0]}`, then this command again",
        )
    if others:
        # The states of the other stacks are in the same folder, which must stay.
        _destroy(stack, progress)
        return
    if embedded_node.is_ready(node_config) and backend.has_stack(stack):
        try:
            _destroy(stack, progress)
        except UserError as error:
            # All resources are in the node, which is removed next.
            progress.print(f"The stack could not be destroyed. Its node is removed with all resources instead.\n{error}")
    _remove_node(node_config, progress)
    if stack == tour.DEV:
        for message in filter(None, map(tour_files.clean, tour.STACKS)):  # before dev's own file changes: see `is_unedited`
            progress.print(message)
    _clean_stack_file(stack, progress)


def _remove_node(node_config: NodeConfig, progress: Reporter) -> None:
    from local.node.lifecycle.stop import stop

    stop(node_config, progress)
    with progress.step("remove the data"):
        for path in _ENVIRONMENT_PATHS:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _clean_stack_file(stack: str, progress: Reporter) -> None:
    """Removes from the stack file what is invalid without the cluster: its releases, and the salt of the passphrase."""
    file = stack_file.path_of(stack)
    before = stack_file.read(file)
    after = stack_file.without_releases(before)
    if not stack_file.has_secrets(after):
        after = stack_file.without_salt(after)
    if after != before:
        stack_file.write(file, after)
        if stack_file.releases(before):
            progress.print(f"{file.name}: the releases are removed, because their models and images no longer exist.")


def _uses_embedded_cluster(stack: str) -> bool:
    """Returns whether a stack's cluster is the embedded one of this checkout."""
    if stack in tour.STACKS:
        return True
    try:
        cluster = loading.load(stack_file.path_of(stack)).cluster
    except UserError:
        return False  # the stack file is missing or invalid, so its cluster is unknown; `pulumi destroy` needs only the state
    return cluster.in_node_of_checkout


def _other_stacks(stack: str) -> list[str]:
    """Returns the other stacks in the backend."""
    return [name for name in backend.stacks() if name != stack]
