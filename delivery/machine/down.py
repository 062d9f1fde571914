"""`modelstack down`: destroys an environment, whatever state it is in, and leaves no process of it running."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from clients.kubernetes import kubeconfig_file
from common import paths
from common.errors import UserError
from delivery.console.progress import reporter
from delivery.environments import embedded_node
from delivery.machine import preflight
from delivery.stacks import backend, lock, recovery, stack_file
from infra.settings import loading

if TYPE_CHECKING:
    from delivery.console.progress import Reporter
    from local.node.config import NodeConfig

_ENVIRONMENT_PATHS = (
    paths.NODE,
    paths.BACKEND,
    paths.PASSPHRASE,
    paths.KUBECONFIG,
    paths.STATE / "held-out",
    paths.STATE / "scratch",
)
"""The paths that `down` deletes. Tools, plugins, image layers and logs stay, which makes the next `up` faster."""


def main(stack: str) -> None:
    """Runs the command."""
    preflight.check_current_user()
    settings = loading.load(stack_file.path_of(stack))
    with reporter("down") as progress, lock.exclusive(f"down --stack {stack}"):
        # Before anything is removed: another engine may be working on the stack.
        recovery.release_locks(recovery.lock_folder(paths.BACKEND, stack), progress)
        node_config = embedded_node.config_of(settings)
        if node_config is None:
            _destroy(stack, progress)
            print(f"Stack {stack} is destroyed.")
            return
        _destroy_embedded(stack, node_config, progress)
    print("Nothing of the environment is left. `make up` creates it again.")


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
    try:
        cluster = loading.load(stack_file.path_of(stack)).cluster
    except UserError:
        return False  # the stack file is missing or invalid, so its cluster is unknown; `pulumi destroy` needs only the state
    if cluster.kind == "existing":
        return cluster.kubeconfig is not None and kubeconfig_file(cluster.kubeconfig) == paths.KUBECONFIG
    return cluster.kind == "embedded"


def _other_stacks(stack: str) -> list[str]:
    """Returns the other stacks in the backend."""
    return [name for name in backend.stacks() if name != stack]
