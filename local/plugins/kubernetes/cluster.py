"""What the plugin does with objects on a cluster: get, apply, replace, delete, list, read logs."""

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
"""Who set a field by hand or by an older tool: the program takes it over. Field managers with other names are controllers."""


class Cluster:
    """Objects of one cluster. Each method raises what `Api.request` and `Api.endpoint` raise."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def namespaced(self, obj: Object) -> bool:
        return self.api.endpoint(objects.text(obj, "apiVersion"), objects.kind(obj)).namespaced

    def url(self, obj: Object, sub: str = "") -> str:
        endpoint = self.api.endpoint(objects.text(obj, "apiVersion"), objects.kind(obj))
        return endpoint.url(objects.namespace(obj) or self.api.access.namespace, objects.name(obj), sub)

    def get(self, obj: Object) -> Object:
        """The object as it is now, found by kind, namespace and name."""
        return self.api.json("GET", self.url(obj))

    def find(self, obj: Object) -> Object | None:
        """As `get`; None when it is not there."""
        try:
            return self.get(obj)
        except ApiServerError as error:
            if error.not_found:
                return None
            raise

    def apply(self, obj: Object, manager: str, *, force: bool = False, preview: bool = False) -> Object:
        """Server-side apply. A conflict with fields set by hand is decided for the program, any other conflict is raised."""
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
            message = f"somebody else has set fields that the program wants to set (what to do: {_HELP}): {error}"
            raise ApiServerError(error.code, {**error.status, "message": message}) from error

    def create(self, obj: Object, manager: str, *, preview: bool = False) -> Object:
        """Creates the object, without server-side apply."""
        query = {"fieldManager": manager, **({"dryRun": "All"} if preview else {})}
        return self.api.json("POST", self.url({**obj, "metadata": {"namespace": objects.namespace(obj)}}), obj, **query)

    def merge(self, obj: Object, patch: Object, manager: str, *, preview: bool = False) -> Object:
        """Changes single fields, without server-side apply; a null removes one."""
        query = {"fieldManager": manager, **({"dryRun": "All"} if preview else {})}
        return self.api.json("PATCH", self.url(obj), patch, content_type=MERGE, **query)

    def replace(self, obj: Object, live: Object, *, preview: bool = False) -> Object:
        """Puts the object in the place of what is there."""
        current = objects.with_metadata(obj, resourceVersion=objects.text(live, "metadata", "resourceVersion"))
        return self.api.json("PUT", self.url(obj), current, **({"dryRun": "All"} if preview else {}))

    def delete(self, obj: Object, propagation: str) -> None:
        """Asks for deletion; it may still be there for a while."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        self.api.request("DELETE", self.url(obj), body)

    def list(self, api_version: str, kind: str, namespace: str, **query: str) -> list[Object]:
        """All objects of a kind in a namespace; `labelSelector`, `fieldSelector` narrow it."""
        endpoint = self.api.endpoint(api_version, kind)
        return objects.items(self.api.json("GET", endpoint.url(namespace), **query), "items")

    def log(self, pod: Object, container: str, lines: int, *, previous: bool) -> str:
        """The last lines that a container printed; empty when there are none to be had."""
        query = {"container": container, "tailLines": str(lines), **({"previous": "true"} if previous else {})}
        try:
            return self.api.request("GET", self.url({**pod, "apiVersion": "v1", "kind": "Pod"}, "log"), **query).strip()
        except ApiServerError:
            return ""


def _only_client_side(error: ApiServerError) -> bool:
    """Whether every field in conflict was set by hand or a client-side tool, not by a controller or another applier."""
    owners = [_OWNER.search(objects.text(cause, "message")) for cause in objects.items(error.status, "details", "causes")]
    return bool(owners) and all(owner is not None and owner[2] and owner[1].startswith(_CLIENT_SIDE) for owner in owners)
