"""`modelstack up --adopt`: a stack becomes the owner of an environment that another state has created.

The environment stays as it is: its passwords go into the state of the new owner, and so do its releases, so that a rollback is
possible and the next release is compared with the one that is deployed. MLflow with its runs, models and accounts is in the
environment. What only the old backend has, the engine's list of updates, stays there.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from clients.kubernetes import ApiError, KubernetesClient, Object, list_at, text_at
from common import naming
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from common.labels import RELEASES_ANNOTATION, ROLE_LABEL, VERSION_LABEL, WORKLOAD_LABEL
from common.roles import CANARY, STABLE
from delivery.stacks import adopted_state
from delivery.stacks.adopted_state import PASSWORDS
from infra import live_cluster
from infra.ownership import StackOwnership

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from common.progress import Progress
    from delivery.stacks.stack import Stack
    from infra.settings.model import Settings

_OVERWRITE: Final = ("PULUMI_K8S_UPSERT_EXISTING_OBJECTS", "PULUMI_K8S_ENABLE_PATCH_FORCE")
"""Variables of the Kubernetes provider: update an object that exists instead of failing, and take over its fields."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the cluster has of an environment, for its new owner."""

    owned_by: str
    """The owner until now: backend, project and stack. Empty if the cluster does not say."""
    passwords: Mapping[str, str]
    """By the names of `adopted_state.PASSWORDS`."""
    releases: Mapping[str, Any]  # Any: JSON with the content of the output `releases`
    owner: Object | None
    """The ConfigMap of the owner; None if there is none."""

    def summary(self) -> list[str]:
        """Returns lines for people: what the new owner takes over. Contains no secrets."""
        missing = [password.name for password in PASSWORDS if password.name not in self.passwords]
        releases = [f"{workload} version {release['version']}" for workload, release in sorted(self.releases.items())]
        return [
            f"owner until now: {self.owned_by or 'not written in the cluster'}",
            f"passwords that stay: {', '.join(sorted(self.passwords)) or 'none'}",
            *([f"passwords that are not in the cluster and are made new: {', '.join(missing)}"] if missing else []),
            f"deployed releases: {', '.join(releases) or 'none'}",
            "The list of updates (`modelstack history`) begins again. The old backend keeps its own.",
        ]


def read(settings: Settings, stack: str) -> Environment:
    """Reads what the cluster has of an environment.

    Raises:
        UserError: the cluster cannot be asked, or refuses to show a Secret.
    """
    what = f"The environment of stack {stack} cannot be read from its cluster."
    api = _client(settings, what)
    try:
        return _read(api, settings)
    except ApiError as error:
        raise Unknown(where=api.server, reason=str(error)).error(what) from None
    finally:
        api.close()


def _client(settings: Settings, what: str) -> KubernetesClient:
    """Returns a client for the environment's cluster. `what` is the problem if there is none, in one sentence."""
    match live_cluster.client(settings.cluster):
        case Found(value=api):
            return api
        case Absent():
            raise UserError(what, found="the cluster no longer exists", fix="run the same command again")
        case Unknown() as unknown:
            raise unknown.error(what)


def _read(api: KubernetesClient, settings: Settings) -> Environment:
    objects = f"/api/v1/namespaces/{live_cluster.tracking_namespace(settings)}"
    secrets = {source: _object(api, f"{objects}/secrets/{source}") for source in {password.source for password in PASSWORDS}}
    passwords = {
        password.name: base64.b64decode(encoded).decode()
        for password in PASSWORDS
        if (encoded := text_at(secrets[password.source] or {}, "data", password.key))
    }
    owner = _object(api, f"{objects}/configmaps/{live_cluster.OWNER_CONFIG_MAP}")
    record = _object(api, f"{objects}/configmaps/{live_cluster.RELEASES_CONFIG_MAP}")
    recorded = text_at(record or {}, "metadata", "annotations", RELEASES_ANNOTATION)
    return Environment(
        owned_by=live_cluster.described(owner) if owner else "",
        passwords=passwords,
        releases=cast("Mapping[str, Any]", json.loads(recorded)) if recorded else _served(api, settings),
        owner=owner,
    )


def _object(api: KubernetesClient, path: str) -> Object | None:
    match api.find(path):
        case Found(value=found):
            return found
        case Absent():
            return None
        case Unknown() as unknown:
            raise unknown.error("An object of the environment cannot be read.")


def _served(api: KubernetesClient, settings: Settings) -> Mapping[str, Any]:
    """Returns the releases of an environment without a record of them: those that its Deployments serve now."""
    namespace = naming.namespace(settings.cluster.namespace_prefix, naming.SERVING)
    deployments = api.items(
        f"/apis/apps/v1/namespaces/{namespace}/deployments", {"labelSelector": f"{WORKLOAD_LABEL},{VERSION_LABEL}"}
    )
    by_workload: dict[str, list[Object]] = {}
    for deployment in deployments:
        by_workload.setdefault(text_at(deployment, "metadata", "labels", WORKLOAD_LABEL), []).append(deployment)
    return {name: release for name, variants in by_workload.items() if (release := _release(name, variants, settings))}


def _release(workload: str, variants: Sequence[Object], settings: Settings) -> Mapping[str, Any] | None:
    """Returns a workload's part of the output `releases`; None if no variant is stable."""
    by_role = {text_at(variant, "metadata", "labels", ROLE_LABEL): variant for variant in variants}
    if STABLE not in by_role:
        return None
    version, in_file = _version(by_role[STABLE]), settings.releases.get(workload)
    release = in_file.find(version) if in_file else None
    canary = in_file.canary if in_file else None
    return {
        "version": version,
        "image": _image(by_role[STABLE]),
        "metrics": dict(release.evidence.metrics) if release else {},
        "proven": sorted({_image(variant) for variant in variants}),
        "canary": {"version": _version(by_role[CANARY]), "percent": canary.percent} if CANARY in by_role and canary else None,
    }


def _version(variant: Object) -> int:
    return int(text_at(variant, "metadata", "labels", VERSION_LABEL))


def _image(variant: Object) -> str:
    containers = list_at(variant, "spec", "template", "spec", "containers")
    return text_at(containers[0], "image").rpartition("@")[2] if containers else ""


def take_over(stack: Stack, environment: Environment, settings: Settings, backend: str, progress: Progress) -> None:
    """Makes the stack the owner: first in its state, then in the cluster. May be repeated after an interruption.

    From then on, the state of the owner until now is refused.

    Raises:
        UserError: somebody else has become the owner in the meantime, or the cluster refuses the change.
    """
    with progress.step("take the environment over") as step:
        before = stack.state()
        state = adopted_state.adopted(before, stack.name, environment.passwords, environment.releases)
        if state != before:
            stack.replace_state(state)
        own = StackOwnership.from_resources(adopted_state.outputs_by_urn(state))
        if environment.owner is not None:
            _hand_over(environment.owner, settings, {"id": own.id, "backend": backend, "stack": stack.name})
        step.note(f"{len(environment.passwords)} passwords stay")
    if before.get("resources"):
        # This state had the environment before. Others have changed the environment since.
        stack.refresh(progress, [])


@contextlib.contextmanager
def overwriting() -> Generator[None]:
    """Lets the Kubernetes provider change objects that another state has applied. By default, it refuses each of them."""
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(_OVERWRITE, "true"))
    try:
        yield
    finally:
        for name in _OVERWRITE:
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in _OVERWRITE if name in before})


def _hand_over(owner: Object, settings: Settings, data: Mapping[str, str]) -> None:
    api = _client(settings, "The cluster cannot be told its new owner.")
    path = f"/api/v1/namespaces/{live_cluster.tracking_namespace(settings)}/configmaps/{live_cluster.OWNER_CONFIG_MAP}"
    try:
        api.replace(path, {**owner, "data": {**owner.get("data", {}), **data}})
    except ApiError as error:
        fix = "look who owns the environment now (`modelstack up` says it), then run this command again"
        raise UserError("The cluster refuses a new owner.", where=path, found=error, fix=fix) from None
    finally:
        api.close()
