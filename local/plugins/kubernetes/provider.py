"""The Kubernetes provider: what the engine asks for, told in terms of objects on a cluster."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NoReturn

import yaml

from common.errors import UserError
from local.plugins.kubernetes import changes, checkpoint, kinds, settings
from local.plugins.kubernetes.api import Api, ApiServerError, NoSuchKind, Unreachable
from local.plugins.kubernetes.cluster import Cluster
from local.plugins.kubernetes.manifests import difference, immutable, naming, objects
from local.plugins.kubernetes.readiness import rules, waiting
from local.plugins.protocol.messages import Checked, Created, Difference, Failed, Found, InitFailed, Kind
from local.plugins.protocol.provider import Provider
from local.plugins.protocol.values import has_unknown, reveal

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.plugins.protocol.messages import Check, Create, Delete, Diff, Read, Update
    from local.plugins.protocol.values import Object, Value

_DECODE: Final = "kubernetes:yaml:decode"
_DELETION_SECONDS: Final = 600
_REFUSAL_SECONDS: Final = 0.5


class Kubernetes(Provider):
    """One configured provider: one cluster as one user."""

    name, version = "kubernetes", "4.34.2"

    def __init__(self) -> None:
        super().__init__()
        self._settings = settings.Settings()
        self._cluster: Cluster | None = None
        self._lock = threading.Lock()
        self._warned = False

    def check_config(self, inputs: Object) -> Checked:
        return Checked(inputs, settings.check(inputs))

    def diff_config(self, request: Diff) -> Difference:
        return settings.difference(request.old_inputs or request.state, request.inputs)

    def configure(self, inputs: Object) -> None:
        self._settings = settings.Settings.of(inputs)

    @property
    def cluster(self) -> Cluster:
        """Connected on first use, so that what needs no cluster works without one.

        Raises:
            Unreachable: the kubeconfig cannot be used.
        """
        with self._lock:
            if self._cluster is None:
                try:
                    self._cluster = Cluster(Api(self._settings.connect()))
                except (UserError, OSError) as error:
                    raise Unreachable(str(error)) from error
            return self._cluster

    def _say(self, urn: str) -> Callable[[str], None]:
        return lambda text: self.log(text, urn, status=True)

    def _change(self, urn: str, type_token: str, manager: str, *, preview: bool) -> changes.Change:
        patch = kinds.is_patch(type_token)
        return changes.Change(self.cluster, self._settings, manager, preview, patch, self.cancelled, self._say(urn))

    def _unseen(self, error: Unreachable, urn: str) -> None:
        """A preview does without a cluster that cannot be reached, and says so once."""
        with self._lock:
            warned, self._warned = self._warned, True
        if not warned:
            self.log(f"previewing without the API server's checks: {error}", urn, "WARNING")

    def check(self, request: Check) -> Checked:
        kinds.refuse(request.type)
        plain = objects.normal(objects.dashed(reveal(request.inputs)))
        old = objects.dashed(reveal(request.old_inputs))
        if kinds.is_patch(request.type):
            if not self._settings.server_side:
                raise Failed("patch resources require Server-Side Apply mode (`enableServerSideApply` of the provider)")
            if not objects.name(plain) and not objects.is_unknown(plain, "metadata", "name"):
                raise Failed("patch resources require the `.metadata.name` field to be set")
        else:
            plain = naming.named(plain, old, request.name, request.seed)
        if not self._settings.server_side:
            plain = changes.labelled(plain, old)
        elif objects.text(plain, "metadata", "generateName") and not objects.name(plain):
            raise Failed("the `.metadata.generateName` field is not supported in Server-Side Apply mode")
        if not objects.namespace(plain) and not objects.is_unknown(plain, "metadata", "namespace"):
            plain = self._with_namespace(plain, request.urn)
        return Checked(objects.mark_secrets(objects.underscored(plain), request.inputs))

    def _with_namespace(self, inputs: Object, urn: str) -> Object:
        """Inputs with the provider's namespace, when the kind has one. An unknown kind is taken to have one."""
        try:
            cluster = self.cluster
            namespaced = cluster.namespaced(inputs)
        except Unreachable as error:
            self._unseen(error, urn)
            return inputs
        except (ApiServerError, NoSuchKind):
            namespaced, cluster = True, self.cluster
        return objects.with_metadata(inputs, namespace=cluster.api.access.namespace) if namespaced else inputs

    def diff(self, request: Diff) -> Difference:
        old = checkpoint.read(request.state)
        inputs, old_inputs = objects.normal(objects.dashed(reveal(request.inputs))), objects.normal(old.inputs)
        inputs, live = difference.in_place(inputs, old_inputs, old.live)
        forced = immutable.rules({} if kinds.is_patch(request.type) else inputs, self._settings.mutable)
        paths = difference.differences(live, old_inputs, inputs, forced)
        paths = {path: kind for path, kind in paths.items() if not difference.ignored(path, request.ignore)}
        if objects.flagged(inputs, objects.REPLACE_UNREADY) and self._is_unready(old.live):
            paths[f'metadata.annotations["{objects.REPLACE_UNREADY}"]'] = Kind.UPDATE_REPLACE
        same_place = objects.full_name(inputs) == objects.full_name(old.live)
        return Difference(
            paths,
            delete_first=same_place and not objects.flagged(inputs, objects.AUTONAMED),
            outputs=frozenset(path for path, kind in paths.items() if kind not in {Kind.DELETE, Kind.DELETE_REPLACE}),
        )

    def _is_unready(self, live: Object) -> bool:
        judge = rules.judge_of({"apiVersion": live.get("apiVersion"), "kind": live.get("kind")})
        if judge is None or objects.kind(live) != "Job":
            return False
        try:
            found = self.cluster.find(live)
            return found is not None and not judge.look(self.cluster, found).ready
        except Failed:
            return False  # no reason to replace what cannot be seen

    def create(self, request: Create) -> Created:
        inputs = objects.dashed(reveal(request.inputs))
        manager = self._manager(request.urn, inputs, {})
        if request.preview and (has_unknown(inputs) or kinds.is_patch(request.type)):
            return Created("", request.inputs)
        try:
            change = self._change(request.urn, request.type, manager, preview=request.preview)
            made = changes.create(inputs, change)
        except Unreachable as error:
            if request.preview:
                self._unseen(error, request.urn)
                return Created("", request.inputs)
            raise Failed(f"the cluster does not answer: {error}") from error
        except (ApiServerError, NoSuchKind) as error:
            if request.preview and changes.says_nothing(error):
                return Created("", request.inputs)
            self._hold_back(preview=request.preview)
            raise Failed(f"{objects.kind(inputs)} {objects.full_name(inputs)} was not created: {error}") from error
        if request.preview:
            shown = {key: value for key, value in made.items() if key != "status"}
            return Created("", checkpoint.write(shown, inputs, request.inputs, manager))
        try:
            live = self._await(made, inputs, request.urn, request.timeout)
        except waiting.NotReady as error:
            reasons = [
                f"{objects.kind(inputs)} {objects.full_name(made)} was created and is not ready: {error}",
                *error.reasons[1:],
            ]
            state = checkpoint.write(self._latest(made), inputs, request.inputs, manager)
            raise InitFailed(objects.full_name(made), state, reasons) from error
        return Created(objects.full_name(live), checkpoint.write(live, inputs, request.inputs, manager))

    def _hold_back(self, *, preview: bool) -> None:
        """A preview ends with its first refusal: what is registered at the same time is to be seen in it as well."""
        if preview:
            self.cancelled.wait(_REFUSAL_SECONDS)

    def _manager(self, urn: str, inputs: Object, state: Object) -> str:
        return naming.field_manager(urn, inputs, state) if self._settings.server_side else "pulumi-kubernetes"

    def _await(self, made: Object, inputs: Object, urn: str, given: float, *, created: bool = True) -> Object:
        judge = rules.judge_of(inputs)
        if judge is None or (judge.once and not created):
            return made
        patience = waiting.Patience(rules.seconds(inputs, given, judge.seconds), self.cancelled, self._say(urn))
        return waiting.until_ready(self.cluster, made, judge, patience)

    def _latest(self, made: Object) -> Object:
        """The object as it is now; as it was made when nobody answers: it must not get lost."""
        try:
            return self.cluster.find(made) or made
        except Failed:
            return made

    def update(self, request: Update) -> Object:
        old = checkpoint.read(request.state)
        inputs = objects.normal(objects.dashed(reveal(request.inputs)))
        manager = self._manager(request.urn, inputs, request.state)
        if request.preview and has_unknown(inputs):
            return request.inputs
        live: Object = old.live
        try:
            change = self._change(request.urn, request.type, manager, preview=request.preview)
            live = self.cluster.get(old.live)
            made = changes.update(inputs, old.inputs, live, request.ignore, change)
            if request.preview:
                return checkpoint.write(made, inputs, request.inputs, manager)
            live = self._await(made, inputs, request.urn, request.timeout, created=False)
        except Unreachable as error:
            if request.preview:
                self._unseen(error, request.urn)
                return request.inputs
            raise Failed(f"the cluster does not answer: {error}") from error
        except (ApiServerError, NoSuchKind) as error:
            if request.preview and changes.says_nothing(error):
                return request.inputs
            if live is old.live:
                hint = " Run `pulumi refresh` when it was deleted by hand." if changes.already_gone(error) else ""
                raise Failed(f"{objects.kind(inputs)} {request.id} was not updated: {error}.{hint}") from error
            self._hold_back(preview=request.preview)
            # What was refused is not in the object: the state keeps the inputs that are.
            state = checkpoint.write(live, old.inputs, request.inputs, objects.text(request.state, "__fieldManager") or manager)
            raise _not_updated(request.id, state, [str(error)]) from error
        except waiting.NotReady as error:
            state = checkpoint.write(self._latest(live), inputs, request.inputs, manager)
            raise _not_updated(request.id, state, error.reasons) from error
        return checkpoint.write(live, inputs, request.inputs, manager)

    def delete(self, request: Delete) -> None:
        old = checkpoint.read(request.state)
        inputs = old.inputs or old.live
        manager = self._manager(request.urn, inputs, request.state)
        say = self._say(request.urn)
        try:
            if kinds.is_patch(request.type):
                changes.relinquish(old.live, self._change(request.urn, request.type, manager, preview=False))
                return
            self.cluster.delete(old.live, changes.propagation(inputs))
            if changes.awaitable_deletion(inputs):
                seconds = rules.seconds(inputs, request.timeout, _DELETION_SECONDS)
                waiting.until_deleted(self.cluster, old.live, waiting.Patience(seconds, self.cancelled, say))
        except Unreachable as error:
            if not self._settings.delete_unreachable:
                raise Failed(f"the cluster does not answer: {error}. {kinds.UNREACHABLE_HELP}") from error
            self.log(f"removed from the state although {error}", request.urn, "WARNING")
        except (ApiServerError, NoSuchKind) as error:
            if not changes.already_gone(error):
                raise

    def read(self, request: Read) -> Found | None:
        old = checkpoint.read(request.state)
        old_inputs = objects.normal(objects.dashed(reveal(request.inputs)))
        imported = not old_inputs and not old.live
        try:
            wanted = old.live or kinds.identity(request.type, request.id, self.cluster)
            live = self.cluster.get(wanted)
        except Unreachable as error:
            if self._settings.delete_unreachable:
                self.log(f"counts as deleted: {error}", request.urn, "WARNING")
                return None
            raise Failed(f"what is there now cannot be read: {error}. {kinds.UNREACHABLE_HELP}") from error
        except (ApiServerError, NoSuchKind) as error:
            if changes.already_gone(error):
                return None
            raise
        inputs = checkpoint.importable(live) if imported else objects.with_empties(objects.pruned(live, old_inputs), old_inputs)
        manager = self._manager(request.urn, inputs, request.state)
        state = checkpoint.write(live, inputs, request.inputs, manager)
        shown = objects.mark_secrets(objects.underscored(inputs), request.inputs)
        judge = None if imported else rules.judge_of(old_inputs)
        reasons = waiting.reasons_now(self.cluster, live, judge) if judge is not None and judge.read else []
        if reasons:
            raise InitFailed(
                request.id, state, [f"{objects.kind(live)} {objects.full_name(live)} is not ready", *reasons], shown
            )
        return Found(request.id or objects.full_name(live), state, shown)

    def construct(self, type_token: str) -> NoReturn:
        kinds.refuse(type_token)
        super().construct(type_token)

    def invoke(self, token: str, inputs: Object, *, preview: bool) -> Object:
        if token != _DECODE:
            return super().invoke(token, inputs, preview=preview)
        documents: list[Value] = [document for document in yaml.safe_load_all(str(reveal(inputs.get("text")))) if document]
        return {"result": kinds.with_default_namespace(documents, str(inputs.get("defaultNamespace") or ""))}


def _not_updated(resource_id: str, state: Object, reasons: list[str]) -> InitFailed:
    return InitFailed(resource_id, state, [f"{resource_id} was not updated, or is not ready since: {reasons[0]}", *reasons[1:]])
