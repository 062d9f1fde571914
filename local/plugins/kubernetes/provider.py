"""The Kubernetes provider: translates the engine's requests into operations on the objects of a cluster."""

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
from local.plugins.protocol.messages import Checked, Created, Difference, Failed, InitFailed, Kind, ReadResult
from local.plugins.protocol.provider import Provider
from local.plugins.protocol.values import has_unknown, reveal

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.plugins.protocol.messages import Check, Create, Delete, Diff, Read, Update
    from local.plugins.protocol.values import Object, Value

_DECODE: Final = "kubernetes:yaml:decode"
_DELETION_SECONDS: Final = 600
_REFUSAL_SECONDS: Final = 0.5
"""How long a preview delays an error, see `Kubernetes._delay_refusal`."""


class Kubernetes(Provider):
    """One configured provider: the connection to one cluster as one user, and its settings."""

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
        self._settings = settings.Settings.from_inputs(inputs)

    @property
    def cluster(self) -> Cluster:
        """The cluster. Connected on first use, so that operations that need no cluster work without one.

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

    def _status_line(self, urn: str) -> Callable[[str], None]:
        return lambda text: self.log(text, urn, status=True)

    def _change(self, urn: str, type_token: str, manager: str, *, preview: bool) -> changes.Change:
        patch = kinds.is_patch(type_token)
        return changes.Change(self.cluster, self._settings, manager, preview, patch, self.cancelled, self._status_line(urn))

    def _warn_unreachable(self, error: Unreachable, urn: str) -> None:
        """Warns, once for each provider, that a preview runs without the cluster because it cannot be reached."""
        with self._lock:
            warned, self._warned = self._warned, True
        if not warned:
            self.log(f"previewing without the API server's checks: {error}", urn, "WARNING")

    def check(self, request: Check) -> Checked:
        kinds.refuse_unsupported(request.type)
        plain = objects.normalized(objects.in_api_spelling(reveal(request.inputs)))
        old = objects.in_api_spelling(reveal(request.old_inputs))
        if kinds.is_patch(request.type):
            if not self._settings.server_side:
                raise Failed("patch resources require Server-Side Apply mode (`enableServerSideApply` of the provider)")
            if not objects.name(plain) and not objects.is_unknown(plain, "metadata", "name"):
                raise Failed("patch resources require the `.metadata.name` field to be set")
        else:
            plain = naming.with_name(plain, old, request.name, request.seed)
        if not self._settings.server_side:
            plain = changes.with_managed_by_label(plain, old)
        elif objects.text(plain, "metadata", "generateName") and not objects.name(plain):
            raise Failed("the `.metadata.generateName` field is not supported in Server-Side Apply mode")
        if not objects.namespace(plain) and not objects.is_unknown(plain, "metadata", "namespace"):
            plain = self._with_namespace(plain, request.urn)
        return Checked(objects.mark_secrets(objects.in_sdk_spelling(plain), request.inputs))

    def _with_namespace(self, inputs: Object, urn: str) -> Object:
        """Returns the inputs with the provider's namespace if the kind is namespaced. An unknown kind counts as namespaced."""
        try:
            cluster = self.cluster
            namespaced = cluster.namespaced(inputs)
        except Unreachable as error:
            self._warn_unreachable(error, urn)
            return inputs
        except (ApiServerError, NoSuchKind):
            namespaced, cluster = True, self.cluster
        return objects.with_metadata(inputs, namespace=cluster.api.access.namespace) if namespaced else inputs

    def diff(self, request: Diff) -> Difference:
        old = checkpoint.read(request.state)
        inputs, old_inputs = objects.normalized(objects.in_api_spelling(reveal(request.inputs))), objects.normalized(old.inputs)
        inputs, live = difference.comparable(inputs, old_inputs, old.live)
        forced = immutable.rules({} if kinds.is_patch(request.type) else inputs, self._settings.mutable)
        paths = difference.differences(live, old_inputs, inputs, forced)
        paths = {path: kind for path, kind in paths.items() if not difference.is_ignored(path, request.ignore)}
        if objects.flagged(inputs, objects.REPLACE_UNREADY) and self._is_unready(old.live):
            paths[f'metadata.annotations["{objects.REPLACE_UNREADY}"]'] = Kind.UPDATE_REPLACE
        same_name = objects.full_name(inputs) == objects.full_name(old.live)
        return Difference(
            paths,
            delete_first=same_name and not objects.flagged(inputs, objects.AUTONAMED),
            outputs=frozenset(path for path, kind in paths.items() if kind not in {Kind.DELETE, Kind.DELETE_REPLACE}),
        )

    def _is_unready(self, live: Object) -> bool:
        check = rules.readiness_check({"apiVersion": live.get("apiVersion"), "kind": live.get("kind")})
        if check is None or objects.kind(live) != "Job":
            return False
        try:
            current = self.cluster.find(live)
            return current is not None and not check.evaluate(self.cluster, current).ready
        except Failed:
            return False  # an object that cannot be read is not replaced

    def create(self, request: Create) -> Created:
        inputs = objects.in_api_spelling(reveal(request.inputs))
        manager = self._manager(request.urn, inputs, {})
        if request.preview and (has_unknown(inputs) or kinds.is_patch(request.type)):
            return Created("", request.inputs)
        try:
            change = self._change(request.urn, request.type, manager, preview=request.preview)
            created = changes.create(inputs, change)
        except Unreachable as error:
            if request.preview:
                self._warn_unreachable(error, request.urn)
                return Created("", request.inputs)
            raise Failed(f"the cluster does not answer: {error}") from error
        except (ApiServerError, NoSuchKind) as error:
            if request.preview and changes.is_inconclusive(error):
                return Created("", request.inputs)
            self._delay_refusal(preview=request.preview)
            raise Failed(f"{objects.kind(inputs)} {objects.full_name(inputs)} was not created: {error}") from error
        if request.preview:
            previewed = {key: value for key, value in created.items() if key != "status"}
            return Created("", checkpoint.write(previewed, inputs, request.inputs, manager))
        try:
            live = self._wait_until_ready(created, inputs, request.urn, request.timeout)
        except waiting.NotReady as error:
            reasons = [
                f"{objects.kind(inputs)} {objects.full_name(created)} was created but is not ready: {error}",
                *error.reasons[1:],
            ]
            state = checkpoint.write(self._latest(created), inputs, request.inputs, manager)
            raise InitFailed(objects.full_name(created), state, reasons) from error
        return Created(objects.full_name(live), checkpoint.write(live, inputs, request.inputs, manager))

    def _delay_refusal(self, *, preview: bool) -> None:
        """Waits in a preview before an error is raised, because the engine ends a preview at the first error.

        Resources that are registered at the same time then appear in the preview, too.
        """
        if preview:
            self.cancelled.wait(_REFUSAL_SECONDS)

    def _manager(self, urn: str, inputs: Object, state: Object) -> str:
        return naming.field_manager(urn, inputs, state) if self._settings.server_side else "pulumi-kubernetes"

    def _wait_until_ready(self, obj: Object, inputs: Object, urn: str, timeout: float, *, created: bool = True) -> Object:
        check = rules.readiness_check(inputs)
        if check is None or (check.only_after_creation and not created):
            return obj
        options = waiting.WaitOptions(rules.seconds(inputs, timeout, check.seconds), self.cancelled, self._status_line(urn))
        return waiting.wait_until_ready(self.cluster, obj, check, options)

    def _latest(self, obj: Object) -> Object:
        """Returns the current object, or `obj` if the cluster does not respond: the state must not lose the object."""
        try:
            return self.cluster.find(obj) or obj
        except Failed:
            return obj

    def update(self, request: Update) -> Object:
        old = checkpoint.read(request.state)
        inputs = objects.normalized(objects.in_api_spelling(reveal(request.inputs)))
        manager = self._manager(request.urn, inputs, request.state)
        if request.preview and has_unknown(inputs):
            return request.inputs
        live: Object = old.live
        try:
            change = self._change(request.urn, request.type, manager, preview=request.preview)
            live = self.cluster.get(old.live)
            updated = changes.update(inputs, old.inputs, live, request.ignore, change)
            if request.preview:
                return checkpoint.write(updated, inputs, request.inputs, manager)
            live = self._wait_until_ready(updated, inputs, request.urn, request.timeout, created=False)
        except Unreachable as error:
            if request.preview:
                self._warn_unreachable(error, request.urn)
                return request.inputs
            raise Failed(f"the cluster does not answer: {error}") from error
        except (ApiServerError, NoSuchKind) as error:
            if request.preview and changes.is_inconclusive(error):
                return request.inputs
            if live is old.live:
                hint = " If the object was deleted by hand, run `pulumi refresh`." if changes.is_gone(error) else ""
                raise Failed(f"{objects.kind(inputs)} {request.id} was not updated: {error}.{hint}") from error
            self._delay_refusal(preview=request.preview)
            # The refused inputs are not in the object, so the state keeps the old inputs.
            state = checkpoint.write(live, old.inputs, request.inputs, objects.text(request.state, "__fieldManager") or manager)
            raise InitFailed(request.id, state, [f"{request.id} was not updated: {error}"]) from error
        except waiting.NotReady as error:
            state = checkpoint.write(self._latest(live), inputs, request.inputs, manager)
            reasons = [f"{request.id} was updated but is not ready: {error}", *error.reasons[1:]]
            raise InitFailed(request.id, state, reasons) from error
        return checkpoint.write(live, inputs, request.inputs, manager)

    def delete(self, request: Delete) -> None:
        old = checkpoint.read(request.state)
        inputs = old.inputs or old.live
        manager = self._manager(request.urn, inputs, request.state)
        show_status = self._status_line(request.urn)
        try:
            if kinds.is_patch(request.type):
                changes.relinquish(old.live, self._change(request.urn, request.type, manager, preview=False))
                return
            self.cluster.delete(old.live, changes.propagation(inputs))
            if changes.awaits_deletion(inputs):
                seconds = rules.seconds(inputs, request.timeout, _DELETION_SECONDS)
                waiting.wait_until_deleted(self.cluster, old.live, waiting.WaitOptions(seconds, self.cancelled, show_status))
        except Unreachable as error:
            if not self._settings.delete_unreachable:
                raise Failed(f"the cluster does not answer: {error}. {kinds.UNREACHABLE_HELP}") from error
            self.log(f"removed from the state without being deleted: {error}", request.urn, "WARNING")
        except (ApiServerError, NoSuchKind) as error:
            if not changes.is_gone(error):
                raise

    def read(self, request: Read) -> ReadResult | None:
        old = checkpoint.read(request.state)
        old_inputs = objects.normalized(objects.in_api_spelling(reveal(request.inputs)))
        imported = not old_inputs and not old.live
        try:
            live = self.cluster.get(old.live or kinds.identity(request.type, request.id, self.cluster))
        except Unreachable as error:
            if self._settings.delete_unreachable:
                self.log(f"treated as deleted: {error}", request.urn, "WARNING")
                return None
            raise Failed(f"the current object cannot be read: {error}. {kinds.UNREACHABLE_HELP}") from error
        except (ApiServerError, NoSuchKind) as error:
            if changes.is_gone(error):
                return None
            raise
        inputs = (
            checkpoint.importable(live)
            if imported
            else objects.with_dropped_empties(objects.pruned(live, old_inputs), old_inputs)
        )
        manager = self._manager(request.urn, inputs, request.state)
        state = checkpoint.write(live, inputs, request.inputs, manager)
        sdk_inputs = objects.mark_secrets(objects.in_sdk_spelling(inputs), request.inputs)
        check = None if imported else rules.readiness_check(old_inputs)
        reasons = waiting.current_reasons(self.cluster, live, check) if check is not None and check.on_refresh else []
        if reasons:
            raise InitFailed(
                request.id, state, [f"{objects.kind(live)} {objects.full_name(live)} is not ready", *reasons], sdk_inputs
            )
        return ReadResult(request.id or objects.full_name(live), state, sdk_inputs)

    def construct(self, type_token: str) -> NoReturn:
        kinds.refuse_unsupported(type_token)
        super().construct(type_token)

    def invoke(self, token: str, inputs: Object, *, preview: bool) -> Object:
        if token != _DECODE:
            return super().invoke(token, inputs, preview=preview)
        documents: list[Value] = [document for document in yaml.safe_load_all(str(reveal(inputs.get("text")))) if document]
        return {"result": kinds.with_default_namespace(documents, str(inputs.get("defaultNamespace") or ""))}
