"""`modelstack down`: the environment destroyed, and nothing of it left running, whatever state it is in."""

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
    from local.node import NodeConfig

_OF_THE_ENVIRONMENT = (
    paths.NODE,
    paths.BACKEND,
    paths.PASSPHRASE,
    paths.KUBECONFIG,
    paths.STATE / "held-out",
    paths.STATE / "scratch",
)
"""What goes with the environment. Tools, plugins, image layers and logs stay: the next `up` is quicker for them."""


def main(stack: str) -> None:
    """Runs the command."""
    preflight.check_me()
    settings = loading.load(stack_file.path_of(stack))
    with reporter("down") as progress, lock.exclusive(f"down --stack {stack}"):
        found = embedded_node.config_of(settings)
        if found is None:
            _destroy(stack, progress)
            print(f"Stack {stack} is gone.")
            return
        _destroy_embedded(stack, found, progress)
    print("Nothing of the environment is left. `make up` makes it again.")


def _destroy(stack: str, progress: Reporter) -> None:
    from delivery.stacks.stack import Stack

    opened = Stack.select(stack)
    recovery.release_locks(recovery.lock_folder(paths.BACKEND, stack), progress)
    opened.destroy(progress)
    opened.remove()


def _destroy_embedded(stack: str, found: NodeConfig, progress: Reporter) -> None:
    others = _others(stack)
    if guests := [name for name in others if _lives_here(name)]:
        raise UserError(
            f"Other environments live in the cluster of stack {stack}.",
            found=", ".join(guests),
            fix=f"modelstack down --stack {guests[0]}, then this again",
        )
    if others:
        # Their state is under the same folder.
        _destroy(stack, progress)
        return
    if embedded_node.is_ready(found) and backend.has_stack(stack):
        try:
            _destroy(stack, progress)
        except UserError as error:
            # All of it is in the node, which goes now.
            progress.print(f"The stack could not be destroyed in order; its node is removed with all it holds.\n{error}")
    _remove_node(found, progress)
    _clean_stack_file(stack, progress)


def _remove_node(found: NodeConfig, progress: Reporter) -> None:
    from local import node as local_node

    local_node.stop(found, progress)
    with progress.step("remove its data"):
        for path in _OF_THE_ENVIRONMENT:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _clean_stack_file(stack: str, progress: Reporter) -> None:
    """Takes out of the stack file what died with the cluster: its releases, and the salt of the passphrase."""
    file = stack_file.path_of(stack)
    before = stack_file.read(file)
    after = stack_file.without_releases(before)
    if not stack_file.has_secrets(after):
        after = stack_file.without_salt(after)
    if after != before:
        stack_file.write(file, after)
        if stack_file.releases(before):
            progress.print(f"{file.name}: its releases are removed, for their models and images are gone.")


def _lives_here(stack: str) -> bool:
    """Whether a stack's cluster is the embedded one of this checkout."""
    try:
        cluster = loading.load(stack_file.path_of(stack)).cluster
    except UserError:
        return False  # its file is gone or broken: nobody can tell, and `pulumi destroy` reads the state alone
    if cluster.kind == "existing":
        return cluster.kubeconfig is not None and kubeconfig_file(cluster.kubeconfig) == paths.KUBECONFIG
    return cluster.kind == "embedded"


def _others(stack: str) -> list[str]:
    """Other stacks of this checkout's backend that hold resources."""
    return [name for name in backend.stacks() if name != stack]
