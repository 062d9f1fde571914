"""The few calls that commands make to a cluster's API, as plain JSON."""

from __future__ import annotations

import os
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import httpx

from common import paths
from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Object = dict[str, Any]  # JSON of the API server
"""A Kubernetes object, or a list of them, as the API server writes it."""
_SECONDS = 30.0
_POD_SECONDS = 5.0


def text_at(found: Object, *keys: str) -> str:
    """The text at a path of keys; empty where there is none."""
    value = _at(found, keys)
    return "" if value is None else str(value)


def list_at(found: Object, *keys: str) -> list[Object]:
    """The list at a path of keys; empty where there is none."""
    value = _at(found, keys)
    return cast("list[Object]", value) if isinstance(value, list) else []


def _at(found: Object, keys: tuple[str, ...]) -> object:
    value: Any = found  # JSON of the API server
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] JSON
    return cast("object", value)


def kubeconfig_file(path: str) -> Path:
    """The file that a stack file means: from the checkout on, where the engine runs, unless it is absolute."""
    return (paths.CHECKOUT / Path(path).expanduser()).resolve()


class ApiError(Exception):
    """The API server refused, or the pod that it was to ask.

    `status` is the HTTP status. `reason` is the API server's own word, for example `Forbidden`; empty where it was not the one
    who answered.
    """

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        self.status, self.reason = status, reason
        super().__init__(message)


class KubernetesClient:
    """The API server of one cluster."""

    def __init__(self, server: str, http: httpx.Client) -> None:
        """Sends requests to the API server at `server` through `http`. See `from_kubeconfig`."""
        self.server, self._http = server, http

    @classmethod
    def from_kubeconfig(cls, kubeconfig: str | Object, context: str | None = None) -> Self:
        """The cluster of a context.

        Args:
            kubeconfig: a kubeconfig's text (YAML or JSON), or its content.
            context: the context; by default the current one.
        """
        # The official client knows every way to log in (certificates, tokens, exec plugins); requests are made with httpx.
        from kubernetes import client, config
        from ruamel.yaml import YAML

        document = (
            cast("Object", YAML(typ="safe").load(kubeconfig))  # pyright: ignore[reportUnknownMemberType] ruamel types it loosely
            if isinstance(kubeconfig, str)
            else kubeconfig
        )
        found = client.Configuration()
        config.load_kube_config_from_dict(document, context=context, client_configuration=found)  # pyright: ignore[reportUnknownMemberType] no annotations
        verify = ssl.create_default_context(cafile=found.ssl_ca_cert)
        if found.cert_file:
            verify.load_cert_chain(str(found.cert_file), found.key_file)
        token = found.get_api_key_with_prefix("authorization")  # pyright: ignore[reportUnknownMemberType] no annotations
        headers = {"Authorization": token} if token else {}
        server = str(found.host)
        return cls(server, httpx.Client(base_url=server, verify=verify, headers=headers, timeout=_SECONDS, trust_env=False))

    @classmethod
    def from_file(cls, path: str | None, context: str) -> Self:
        """The cluster of a context of a kubeconfig file. Without a path: `$KUBECONFIG`, else `~/.kube/config`.

        Raises:
            UserError: there is no such file.
        """
        file = kubeconfig_file(path or os.environ.get("KUBECONFIG") or "~/.kube/config")
        try:
            return cls.from_kubeconfig(file.read_text(encoding="utf-8"), context)
        except FileNotFoundError:
            raise UserError("There is no such kubeconfig.", where=str(file), fix="write it, or name another one") from None

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def exists(self, api_version: str, kind: str, namespace: str, name: str) -> bool:
        """Whether an object exists."""
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        found = self.find(root)
        resource = next((entry for entry in list_at(found or {}, "resources") if entry["kind"] == kind), None)
        if resource is None:
            return False
        place = f"{root}/namespaces/{namespace}" if resource["namespaced"] else root
        return self.find(f"{place}/{resource['name']}/{name}") is not None

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Object:
        """Reads an object or a list."""
        return self._json("GET", path, params=params)

    def find(self, path: str) -> Object | None:
        """Reads an object; None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def items(self, path: str, params: Mapping[str, str] | None = None) -> list[Object]:
        """Reads the objects in a list."""
        return cast("list[Object]", self.get(path, params).get("items") or [])

    def create(self, path: str, body: Object) -> Object:
        """Creates an object."""
        return self._json("POST", path, body=body)

    def delete(self, path: str) -> None:
        """Deletes an object and, in the background, what it owns. Nothing happens where there is none."""
        try:
            self._json("DELETE", path, body={"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def log(self, namespace: str, pod: str, *, follow: bool) -> Iterator[str]:
        """The lines of a pod's only container, from the first; with `follow` until it ends or the connection does."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        quiet = httpx.Timeout(_SECONDS, read=None)
        try:
            with self._http.stream("GET", path, params={"follow": "true" if follow else "false"}, timeout=quiet) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                yield from response.iter_lines()
        except (httpx.RemoteProtocolError, httpx.ReadError):
            return

    def get_from_pod(self, namespace: str, pod: str, port: int, path: str) -> str:
        """What a pod answers on one of its ports, asked through the API server: no way into the cluster has to be opened.

        Raises:
            ApiError: the pod does not answer.
        """
        whole = f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"
        try:
            response = self._http.get(whole, timeout=_POD_SECONDS)
        except httpx.ReadTimeout:
            raise ApiError(HTTPStatus.GATEWAY_TIMEOUT, f"{pod} does not answer within {_POD_SECONDS:g} s") from None
        except httpx.TransportError as error:
            raise self._silent(error) from None
        if response.is_error:
            raise _refusal(response)
        return response.text

    def _json(self, method: str, path: str, *, body: Object | None = None, params: Mapping[str, str] | None = None) -> Object:
        try:
            response = self._http.request(method, path, json=body, params=params)
        except httpx.TransportError as error:
            raise self._silent(error) from None
        if response.is_error:
            raise _refusal(response)
        return cast("Object", response.json())

    def _silent(self, error: httpx.TransportError) -> UserError:
        fix = "`modelstack node status` tells about an embedded one"
        return UserError("The cluster does not answer.", where=self.server, found=error, fix=fix)


def _refusal(response: httpx.Response) -> ApiError:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return ApiError(response.status_code, response.text)
    told = cast("Object", answer)
    reason = text_at(told, "reason") if told.get("kind") == "Status" else ""
    return ApiError(response.status_code, text_at(told, "message") or response.text, reason)
