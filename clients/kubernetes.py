"""A small client of the Kubernetes API for commands. Objects are plain JSON."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import httpx

from clients import kubeconfig as kubeconfigs
from common import paths
from common.answers import Absent, Answer, Found, Unknown
from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from clients.kubeconfig import Access

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


class ApiError(UserError):
    """The API server refused a request, or a pod did not answer a request that was sent through the API server.

    `status` is the HTTP status, and `message` the text of the response. `reason` is the reason that the API server gives, for
    example `Forbidden`. It is empty if the response does not come from the API server itself.
    """

    def __init__(self, status: int, message: str, reason: str = "", *, where: str = "") -> None:
        self.status, self.message, self.reason = status, message, reason
        problem, fix = _problem(status)
        super().__init__(f"{problem}: {message[:_MESSAGE_CHARACTERS]}", where=where, found=f"HTTP status {status}", fix=fix)


_MESSAGE_CHARACTERS = 500
_PROBLEMS: dict[int, tuple[str, str]] = {
    HTTPStatus.UNAUTHORIZED: (
        "The API server does not accept your login",
        "log in again, or check the user of the context in your kubeconfig",
    ),
    HTTPStatus.FORBIDDEN: ("Your role does not allow a request", "ask for a role that allows it"),
}


def _problem(status: int) -> tuple[str, str]:
    """Returns the problem of a refusal, and what the user should do."""
    fix = "check the cluster and what is between it and this machine, then run the same command again"
    return _PROBLEMS.get(status, ("The API server refuses a request", fix))


class _Login(httpx.Auth):
    """Adds the credentials of a kubeconfig to each request, and renews them when the API server no longer accepts them."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers.update(self._access.headers)
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._access.renew():
            request.headers.update(self._access.headers)
            yield request


class KubernetesClient:
    """The client of one cluster's API server."""

    def __init__(self, server: str, http: httpx.Client) -> None:
        """Sends requests to the API server at `server` through `http`. See `from_kubeconfig`."""
        self.server, self._http = server, http

    @classmethod
    def from_kubeconfig(cls, kubeconfig: str | Object, context: str | None = None) -> Self:
        """Creates the client for the cluster of a context.

        Args:
            kubeconfig: the text of a kubeconfig (YAML or JSON), or its parsed content. An empty text is an error: it must not
                stand for the user's own kubeconfig, which may lead to another cluster.
            context: name of the context; by default the kubeconfig's current context.

        Raises:
            UserError: the kubeconfig has no such context, an address in it is not a URL, or its exec plugin fails.
        """
        config = kubeconfigs.load_text(kubeconfig) if isinstance(kubeconfig, str) else kubeconfig
        return cls.connected(kubeconfigs.connect(config, context or ""))

    @classmethod
    def connected(cls, access: Access) -> Self:
        """Creates the client for the access that a kubeconfig describes."""
        # Only the kubeconfig decides about a proxy: a proxy for the internet rarely reaches a cluster.
        verify = access.context if access.context is not None else True
        proxy = httpx.Proxy(access.proxy) if access.proxy else None
        http = httpx.Client(
            base_url=access.server, verify=verify, auth=_Login(access), proxy=proxy, timeout=_SECONDS, trust_env=False
        )
        return cls(access.server, http)

    @classmethod
    def from_file(cls, path: str | None, context: str = "") -> Self:
        """Creates the client for the cluster of a context in a kubeconfig file.

        Args:
            path: path of the file; by default the files of `$KUBECONFIG`, or `~/.kube/config` if that variable is not set.
            context: name of the context; by default the kubeconfig's current context.

        Raises:
            UserError: the file does not exist or has no such context, or its exec plugin fails.
        """
        file = kubeconfig_file(path) if path else None
        config = kubeconfigs.load() if file is None else kubeconfigs.load_file(file)
        return cls.connected(kubeconfigs.connect(config, context, source=str(file or kubeconfigs.default())))

    def close(self) -> None:
        """Closes the client's connections."""
        self._http.close()

    def exists(self, api_version: str, kind: str, namespace: str, name: str) -> bool:
        """Returns whether an object exists. `namespace` is ignored if the kind is cluster-scoped.

        Raises:
            UserError: the API server cannot be asked.
        """
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        resources = list_at(self._value(root) or {}, "resources")
        resource = next((entry for entry in resources if entry["kind"] == kind), None)
        if resource is None:
            return False
        scope = f"{root}/namespaces/{namespace}" if resource["namespaced"] else root
        return self._value(f"{scope}/{resource['name']}/{name}") is not None

    def _value(self, path: str) -> Object | None:
        match self.find(path):
            case Found(value=value):
                return value
            case Absent():
                return None
            case Unknown() as unknown:
                raise unknown.error("The cluster cannot be asked whether an object exists.")

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Object:
        """Reads an object or a list."""
        return self._json("GET", path, params=params)

    def find(self, path: str) -> Answer[Object]:
        """Looks up an object. It is absent only if the API server itself says so."""
        try:
            return Found(self.get(path))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND and error.reason == "NotFound":
                return Absent()
            return Unknown(where=f"{self.server}{path}", reason=f"{error.status} {error.message}".strip(), fix=error.fix)
        except UserError as error:
            return Unknown(where=f"{self.server}{path}", reason=str(error.found or error.what), fix=error.fix)

    def items(self, path: str, params: Mapping[str, str] | None = None) -> list[Object]:
        """Reads the objects of a list."""
        return cast("list[Object]", self.get(path, params).get("items") or [])

    def create(self, path: str, body: Object) -> Object:
        """Creates an object."""
        return self._json("POST", path, body=body)

    def replace(self, path: str, body: Object) -> Object:
        """Replaces an object. The server refuses if somebody has changed it since `body` was read."""
        return self._json("PUT", path, body=body)

    def merge(self, path: str, body: Object) -> Object:
        """Changes the fields of an object that `body` contains (JSON merge patch)."""
        return self._json("PATCH", path, body=body, headers={"Content-Type": "application/merge-patch+json"})

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
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                yield from response.iter_lines()
        except httpx.HTTPError:
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
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None
        if not response.is_success:
            raise _refusal(response)
        return response.text

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        try:
            response = self._http.request(method, path, json=body, params=params, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None
        if not response.is_success:
            raise _refusal(response)
        try:
            content = response.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise UserError(
                "The response does not come from a Kubernetes API server.",
                where=str(response.url),
                found=response.text[:100] or "an empty response",
                fix="check the server in your kubeconfig, and whether a proxy answers in its place",
            )
        return cast("Object", content)

    def _unreachable(self, error: Exception) -> UserError:
        fix = "if the cluster is the embedded node, run `modelstack node status`"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            fix = "check the certificate authority of the cluster in your kubeconfig, and whether a proxy answers in its place"
        return UserError("The cluster does not answer.", where=self.server, found=error, fix=fix)


def _refusal(response: httpx.Response) -> ApiError:
    where = f"{response.request.method} {response.url}"
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        # The API server has no Status for a path of no API, such as that of a group that is not installed.
        reason = "NotFound" if response.text.strip() == "404 page not found" else ""
        return ApiError(response.status_code, response.text, reason, where=where)
    payload = cast("Object", content)
    # Only the API server sends objects of kind Status; a pod or a proxy may send any other JSON.
    reason = text_at(payload, "reason") if payload.get("kind") == "Status" else ""
    return ApiError(response.status_code, text_at(payload, "message") or response.text, reason, where=where)
