"""Operations on the objects of a cluster: get, apply, replace, delete, list, read logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from local.plugins.kubernetes.api import APPLY, MERGE, Api, ApiServerError
from local.plugins.kubernetes.manifests import objects

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object

_HELP: Final = (
    "https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/"
    "#handle-field-conflicts-on-existing-resources"
)
_OWNER: Final = re.compile(r'conflict with "([^"]+)"(?: with subresource "[^"]+")?( using )?')
_CLIENT_SIDE: Final = ("kubectl", "before-first-apply", "pulumi-kubernetes", "pulumi-resource-kubernetes")
"""Field managers of manual changes and older tools: the program takes over their fields. All other field managers count as
controllers."""


class Cluster:
    """The objects of one cluster. Each method raises the errors of `Api.request` and `Api.endpoint`."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def namespaced(self, obj: Object) -> bool:
        return self.api.endpoint(objects.text(obj, "apiVersion"), objects.kind(obj)).namespaced

    def url(self, obj: Object, sub: str = "") -> str:
        endpoint = self.api.endpoint(objects.text(obj, "apiVersion"), objects.kind(obj))
        return endpoint.url(objects.namespace(obj) or self.api.access.namespace, objects.name(obj), sub)

    def get(self, obj: Object) -> Object:
        """Reads the current object with the kind, namespace and name of `obj`."""
        return self.api.json("GET", self.url(obj))

    def find(self, obj: Object) -> Object | None:
        """Reads the object like `get`, but returns None if it does not exist."""
        try:
            return self.get(obj)
        except ApiServerError as error:
            if error.not_found:
                return None
            raise

    def apply(self, obj: Object, manager: str, *, force: bool = False, preview: bool = False) -> Object:
        """Applies the object with server-side apply. Takes over fields that were set by hand and raises all other conflicts."""
        query = {"fieldManager": manager, "fieldValidation": "Warn", "force": "true" if force else "false"}
        if preview:
            query["dryRun"] = "All"
        url = self.url(obj)
        try:
            return self.api.json("PATCH", url, obj, content_type=APPLY, **query)
        except ApiServerError as error:
            if not error.conflict:
                raise
            if _only_client_side(error):
                return self.api.json("PATCH", url, obj, content_type=APPLY, **{**query, "force": "true"})
            message = f"another field manager owns fields that the program sets (see {_HELP}): {error}"
            raise ApiServerError(error.code, {**error.status, "message": message}) from error

    def create(self, obj: Object, manager: str, *, preview: bool = False) -> Object:
        """Creates the object, without server-side apply."""
        query = {"fieldManager": manager, **({"dryRun": "All"} if preview else {})}
        return self.api.json("POST", self.url({**obj, "metadata": {"namespace": objects.namespace(obj)}}), obj, **query)

    def merge(self, obj: Object, patch: Object, manager: str, *, preview: bool = False) -> Object:
        """Changes the fields in `patch`, without server-side apply. A null removes a field."""
        query = {"fieldManager": manager, **({"dryRun": "All"} if preview else {})}
        return self.api.json("PATCH", self.url(obj), patch, content_type=MERGE, **query)

    def replace(self, obj: Object, live: Object, *, preview: bool = False) -> Object:
        """Replaces the existing object `live` with `obj`."""
        current = objects.with_metadata(obj, resourceVersion=objects.text(live, "metadata", "resourceVersion"))
        return self.api.json("PUT", self.url(obj), current, **({"dryRun": "All"} if preview else {}))

    def delete(self, obj: Object, propagation: str) -> None:
        """Requests the deletion of the object. The object may exist for some time afterwards."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        self.api.request("DELETE", self.url(obj), body)

    def list(self, api_version: str, kind: str, namespace: str, **query: str) -> list[Object]:
        """Lists the objects of a kind in a namespace. `labelSelector` and `fieldSelector` restrict the list."""
        endpoint = self.api.endpoint(api_version, kind)
        return objects.items(self.api.json("GET", endpoint.url(namespace), **query), "items")

    def log(self, pod: Object, container: str, lines: int, *, previous: bool) -> str:
        """Returns the last lines of a container's log, or an empty text if they cannot be read."""
        query = {"container": container, "tailLines": str(lines), **({"previous": "true"} if previous else {})}
        try:
            return self.api.request("GET", self.url({**pod, "apiVersion": "v1", "kind": "Pod"}, "log"), **query).strip()
        except ApiServerError:
            return ""


def _only_client_side(error: ApiServerError) -> bool:
    """Returns whether every field in conflict was set by hand or with a client-side tool, and none by another field manager."""
    owners = [_OWNER.search(objects.text(cause, "message")) for cause in objects.items(error.status, "details", "causes")]
    return bool(owners) and all(owner is not None and owner[2] and owner[1].startswith(_CLIENT_SIDE) for owner in owners)
