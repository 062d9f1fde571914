"""A small client of the Kubernetes API for commands. Objects are plain JSON."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import httpx

from common import paths
from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Object = dict[str, Any]  # JSON of the API server
"""A Kubernetes object, or a list of objects, as the API server returns it."""
_SECONDS = 30.0
_POD_SECONDS = 5.0


def text_at(document: Object, *keys: str) -> str:
    """Returns the text at a path of keys, or an empty string if the document does not have that path."""
    value = _value_at(document, keys)
    return "" if value is None else str(value)


def list_at(document: Object, *keys: str) -> list[Object]:
    """Returns the list at a path of keys, or an empty list if the document does not have a list at that path."""
    value = _value_at(document, keys)
    return cast("list[Object]", value) if isinstance(value, list) else []


def _value_at(document: Object, keys: tuple[str, ...]) -> object:
    value: Any = document  # JSON of the API server
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] JSON
    return cast("object", value)


def kubeconfig_file(path: str) -> Path:
    """Resolves the path of a kubeconfig. A relative path starts at the checkout, because the engine runs there."""
    return (paths.CHECKOUT / Path(path).expanduser()).resolve()


class ApiError(Exception):
    """The API server refused a request, or a pod did not answer a request that was sent through the API server.

    `status` is the HTTP status. `reason` is the reason that the API server gives, for example `Forbidden`. It is empty if the
    response does not come from the API server itself.
    """

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        self.status, self.reason = status, reason
        super().__init__(message)


Login = tuple[str, ssl.SSLContext, dict[str, str]]
"""Address of the API server, TLS settings, and headers of each request."""


def _official_login(kubeconfig: Object, context: str | None) -> Login:
    """The login of the official client, which supports every method: certificates, tokens, exec plugins."""
    from kubernetes import client, config

    access = client.Configuration()
    config.load_kube_config_from_dict(kubeconfig, context=context, client_configuration=access)  # pyright: ignore[reportUnknownMemberType] no annotations
    verify = ssl.create_default_context(cafile=access.ssl_ca_cert)
    if access.cert_file:
        verify.load_cert_chain(str(access.cert_file), access.key_file)
    logins = access.auth_settings()  # pyright: ignore[reportUnknownMemberType] no annotations
    headers = {"Authorization": str(logins["BearerToken"]["value"])} if "BearerToken" in logins else {}
    return str(access.host), verify, headers


def _embedded_login(kubeconfig: Object, context: str | None) -> Login | None:
    """The login of a kubeconfig that contains certificates and nothing else, like that of the embedded node; otherwise None.

    Importing the official client takes as long as a request. It is not needed to decode three certificates.
    """
    selected: Object = _entry(kubeconfig, "contexts", context or text_at(kubeconfig, "current-context")).get("context") or {}
    cluster: Object = _entry(kubeconfig, "clusters", text_at(selected, "cluster")).get("cluster") or {}
    user: Object = _entry(kubeconfig, "users", text_at(selected, "user")).get("user") or {}
    if set(cluster) != {"server", "certificate-authority-data"} or set(user) != {"client-certificate-data", "client-key-data"}:
        return None
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    verify = ssl.create_default_context(cadata=authority)
    with tempfile.NamedTemporaryFile() as file:  # ssl reads a client certificate from a file only; this one has mode 0600
        file.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
        file.flush()
        verify.load_cert_chain(file.name)
    return str(cluster["server"]), verify, {}


def _entry(kubeconfig: Object, section: str, name: str) -> Object:
    entries: list[Object] = [entry for entry in list_at(kubeconfig, section) if entry.get("name") == name]
    return entries[0] if entries else {}


class KubernetesClient:
    """The client of one cluster's API server."""

    def __init__(self, server: str, http: httpx.Client) -> None:
        """Sends requests to the API server at `server` through `http`. See `from_kubeconfig`."""
        self.server, self._http = server, http

    @classmethod
    def from_kubeconfig(cls, kubeconfig: str | Object, context: str | None = None) -> Self:
        """Creates the client for the cluster of a context.

        Args:
            kubeconfig: the text of a kubeconfig (YAML or JSON), or its parsed content.
            context: name of the context; by default the kubeconfig's current context.
        """
        from ruamel.yaml import YAML

        document = (
            cast("Object", YAML(typ="safe").load(kubeconfig))  # pyright: ignore[reportUnknownMemberType] ruamel types it loosely
            if isinstance(kubeconfig, str)
            else kubeconfig
        )
        server, verify, headers = _embedded_login(document, context) or _official_login(document, context)
        return cls(server, httpx.Client(base_url=server, verify=verify, headers=headers, timeout=_SECONDS, trust_env=False))

    @classmethod
    def from_file(cls, path: str | None, context: str) -> Self:
        """Creates the client for the cluster of a context in a kubeconfig file.

        Args:
            path: path of the file; by default `$KUBECONFIG`, or `~/.kube/config` if that variable is not set.
            context: name of the context.

        Raises:
            UserError: the file does not exist.
        """
        file = kubeconfig_file(path or os.environ.get("KUBECONFIG") or "~/.kube/config")
        try:
            return cls.from_kubeconfig(file.read_text(encoding="utf-8"), context)
        except FileNotFoundError:
            fix = "create the file, or set the path of another one"
            raise UserError("The kubeconfig does not exist.", where=str(file), fix=fix) from None

    def close(self) -> None:
        """Closes the client's connections."""
        self._http.close()

    def exists(self, api_version: str, kind: str, namespace: str, name: str) -> bool:
        """Returns whether an object exists. `namespace` is ignored if the kind is cluster-scoped."""
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        resources = list_at(self.find(root) or {}, "resources")
        resource = next((entry for entry in resources if entry["kind"] == kind), None)
        if resource is None:
            return False
        scope = f"{root}/namespaces/{namespace}" if resource["namespaced"] else root
        return self.find(f"{scope}/{resource['name']}/{name}") is not None

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Object:
        """Reads an object or a list."""
        return self._json("GET", path, params=params)

    def find(self, path: str) -> Object | None:
        """Reads an object. Returns None if it does not exist."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def items(self, path: str, params: Mapping[str, str] | None = None) -> list[Object]:
        """Reads the objects of a list."""
        return cast("list[Object]", self.get(path, params).get("items") or [])

    def create(self, path: str, body: Object) -> Object:
        """Creates an object."""
        return self._json("POST", path, body=body)

    def replace(self, path: str, body: Object) -> Object:
        """Replaces an object. The server refuses if somebody has changed it since `body` was read."""
        return self._json("PUT", path, body=body)

    def delete(self, path: str) -> None:
        """Deletes an object and, in the background, the objects that it owns. Does nothing if the object does not exist."""
        try:
            self._json("DELETE", path, body={"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def log(self, namespace: str, pod: str, *, follow: bool) -> Iterator[str]:
        """Yields the log of a pod's only container, line by line from the beginning.

        With `follow`, waits for new lines until the container ends or the connection is lost.

        Raises:
            ApiError: the API server refuses, for example because the container has not started yet.
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        timeout = httpx.Timeout(_SECONDS, read=None)  # a container may print nothing for a long time
        try:
            with self._http.stream("GET", path, params={"follow": "true" if follow else "false"}, timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                yield from response.iter_lines()
        except (httpx.RemoteProtocolError, httpx.ReadError):
            return

    def get_from_pod(self, namespace: str, pod: str, port: int, path: str) -> str:
        """Sends a GET request to a port of a pod through the API server's proxy and returns the body of the response.

        The proxy makes it unnecessary to expose the port outside the cluster.

        Raises:
            ApiError: the pod does not answer, or the API server refuses.
            UserError: the API server does not answer.
        """
        proxy_path = f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"
        try:
            response = self._http.get(proxy_path, timeout=_POD_SECONDS)
        except httpx.ReadTimeout:
            raise ApiError(HTTPStatus.GATEWAY_TIMEOUT, f"{pod} does not answer within {_POD_SECONDS:g} s") from None
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        if response.is_error:
            raise _refusal(response)
        return response.text

    def _json(self, method: str, path: str, *, body: Object | None = None, params: Mapping[str, str] | None = None) -> Object:
        try:
            response = self._http.request(method, path, json=body, params=params)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        if response.is_error:
            raise _refusal(response)
        return cast("Object", response.json())

    def _unreachable(self, error: httpx.TransportError) -> UserError:
        fix = "if the cluster is the embedded node, run `modelstack node status`"
        return UserError("The cluster does not answer.", where=self.server, found=error, fix=fix)


def _refusal(response: httpx.Response) -> ApiError:
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return ApiError(response.status_code, response.text)
    payload = cast("Object", content)
    # Only the API server sends objects of kind Status; a pod or a proxy may send any other JSON.
    reason = text_at(payload, "reason") if payload.get("kind") == "Status" else ""
    return ApiError(response.status_code, text_at(payload, "message") or response.text, reason)
