"""Creates and deletes the `kind` cluster of a stack, and leaves a cluster of the same name that is somebody else's alone.

`kind create cluster` puts a label with the stack's mark on the cluster's node. The mark is random and is stored in
the stack's state.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from clients import kind
from clients.kubernetes import KubernetesClient, text_at
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from common.labels import MARK_LABEL

if TYPE_CHECKING:
    from clients.kubernetes import Object


def start(name: str, mark: str, config: str) -> str:
    """Creates the cluster unless this stack has created it already. Returns its kubeconfig.

    Raises:
        UserError: a cluster of this name is somebody else's, cannot be asked, or cannot be created.
    """
    match kind.kubeconfig(name):
        case Found(value=kubeconfig):
            found = _mark(kubeconfig)
            if found != mark:
                raise UserError(
                    f"A kind cluster {name} exists already, and this stack has not created it.",
                    where=f"kind cluster {name}",
                    found=f"mark {found}" if found else "no mark of a stack",
                    example="modelstack:cluster: {kind: kind, name: another-name}",
                    fix=f"set another name in the stack file, or delete that cluster: kind delete cluster --name {name}",
                )
            return kubeconfig
        case Absent():
            _kind(["create", "cluster", "--name", name, "--config", "-"], config)
        case Unknown() as unknown:
            raise unknown.error("kind cannot be asked for its clusters, so none is created.")
    return _kubeconfig(name)


def adopt(name: str, mark: str) -> str:
    """Puts the mark on a cluster that is in the stack's state already, and returns its kubeconfig.

    A release that did not write marks has created it.

    Raises:
        UserError: the cluster does not exist or cannot be asked, or has the mark of another stack.
    """
    kubeconfig = _kubeconfig(name)
    found = _mark(kubeconfig)
    if found and found != mark:
        raise UserError(
            f"The kind cluster {name} is now that of another stack.",
            where=f"kind cluster {name}",
            found=f"mark {found}",
            fix="set another name in the stack file",
        )
    if not found:
        api = KubernetesClient.from_kubeconfig(kubeconfig)
        for node in api.items("/api/v1/nodes"):
            api.merge(f"/api/v1/nodes/{text_at(node, 'metadata', 'name')}", {"metadata": {"labels": {MARK_LABEL: mark}}})
        api.close()
    return kubeconfig


def delete(name: str, mark: str) -> str:
    """Deletes the cluster if this stack has created it. Returns what was done, as a sentence.

    Raises:
        UserError: the cluster cannot be asked whose it is, or cannot be deleted.
    """
    match kind.kubeconfig(name):
        case Absent():
            return f"There is no kind cluster {name}."
        case Unknown() as unknown:
            raise unknown.error("kind cannot be asked for its clusters, so none is deleted.")
        case Found(value=kubeconfig):
            if _mark(kubeconfig) != mark:
                return f"The kind cluster {name} stays: this stack has not created it."
    _kind(["delete", "cluster", "--name", name])
    return f"The kind cluster {name} is deleted."


def _kubeconfig(name: str) -> str:
    match kind.kubeconfig(name):
        case Found(value=kubeconfig):
            return kubeconfig
        case Absent():
            fix = "run `pulumi refresh`, then `pulumi up`"
            raise UserError("The kind cluster of this stack does not exist.", where=f"kind cluster {name}", fix=fix)
        case Unknown() as unknown:
            raise unknown.error("kind cannot be asked for the kubeconfig of its cluster.")


def _mark(kubeconfig: str) -> str:
    """Returns the mark on the cluster; an empty text if it has none.

    Raises:
        UserError: the cluster does not answer.
    """
    api = KubernetesClient.from_kubeconfig(kubeconfig)
    try:
        nodes: list[Object] = api.items("/api/v1/nodes")
    finally:
        api.close()
    return next(filter(None, (text_at(node, "metadata", "labels", MARK_LABEL) for node in nodes)), "")


def _kind(arguments: list[str], text: str = "") -> None:
    # kind prints its progress on standard error, where the engine shows it.
    done = subprocess.run(["kind", *arguments], input=text, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        command = f"kind {' '.join(arguments)}"
        raise UserError(f"`{command}` failed with status {done.returncode}.", fix="see the lines above")
