"""Reads kubeconfigs: address, TLS settings and credentials of a cluster. Commands and the provider plugin share this reader.

It supports what `kubectl` supports, apart from `auth-provider`, which Kubernetes 1.26 removed. Decision 0018 says why no
library reads kubeconfigs here.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import yaml

from clients import kubeconfig_login
from clients.kubeconfig_login import items, text
from common.errors import UserError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

Config = dict[str, Any]  # YAML of the user
_EXAMPLE: Final = "apiVersion: v1\nkind: Config\nclusters: ..."
_PATHS: Final = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}
"""The fields of each section that may be paths relative to the kubeconfig."""


@dataclass(frozen=True)
class Access:
    """The connection to one cluster as one user."""

    server: str
    namespace: str
    context: ssl.SSLContext | None
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """Headers of each request. `renew` changes them."""
    server_name: str | None = None
    """The name in the server's certificate, if it is not the host in `server`."""
    proxy: str | None = None
    """The URL of the proxy to the cluster."""
    renewal: Callable[[], dict[str, str]] | None = field(default=None, repr=False)
    """Returns new headers from an exec plugin or a token file. None: the credentials are in the kubeconfig."""

    def renew(self) -> bool:
        """Replaces the credentials after the server has refused them. Returns whether there are other ones now.

        Raises:
            UserError: the exec plugin fails, or the token file cannot be read.
        """
        if self.renewal is None:
            return False
        before = dict(self.headers)
        self.headers.update(self.renewal())
        return self.headers != before


def load(kubeconfig: object = None) -> Config:
    """Loads a kubeconfig.

    Args:
        kubeconfig: its text (YAML or JSON), the path of its file, or the mapping itself. None or an empty text stands for the
            files of `KUBECONFIG`, by default `~/.kube/config`.

    Raises:
        UserError: there is no kubeconfig, or it cannot be read.
    """
    if isinstance(kubeconfig, Mapping):
        return cast("Config", kubeconfig)
    if not kubeconfig:
        return _merged([Path(place).expanduser() for place in default().split(os.pathsep) if place])
    content = str(kubeconfig)
    if "\n" in content or content.lstrip().startswith("{"):
        return _parsed(content, "the provider's kubeconfig")
    return load_file(Path(content).expanduser())


def load_text(content: str) -> Config:
    """Loads the kubeconfig in a text. The text is never a path, and an empty one is an error.

    Raises:
        UserError: the text is no kubeconfig.
    """
    return _parsed(content, "the text of the kubeconfig")


def load_file(file: Path) -> Config:
    """Loads the kubeconfig in a file. Paths in it are relative to the file.

    Raises:
        UserError: the file does not exist or cannot be read, or is no kubeconfig.
    """
    try:
        content = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        fix = "create the file, or set the path of another one"
        raise UserError("The kubeconfig does not exist.", where=str(file), fix=fix) from None
    except (OSError, ValueError) as error:
        raise UserError("The kubeconfig cannot be read.", where=str(file), found=error) from None
    config = _parsed(content, str(file))
    for section, (kind, keys) in _PATHS.items():
        for entry in items(config, section):
            content_of = entry.get(kind)
            if not isinstance(content_of, dict):
                continue
            holder = cast("Config", content_of)
            holder.update({key: str(file.parent / str(holder[key])) for key in keys if holder.get(key)})
            plugin = cast("Config", holder["exec"] if isinstance(holder.get("exec"), dict) else {})
            if "/" in text(plugin, "command"):  # a bare name is looked up in PATH
                plugin["command"] = str(file.parent / text(plugin, "command"))
    return config


def cluster(config: Config, context: str = "", cluster_name: str = "", *, source: str = "") -> Config:
    """Returns the cluster entry of a context (default: the current context). The provider identifies a cluster by its entry.

    Raises:
        UserError: the kubeconfig has no such context or cluster.
    """
    entry = _entry(config, "contexts", context or text(config, "current-context"), "context", source)
    return _entry(config, "clusters", cluster_name or text(entry, "cluster"), "cluster", source)


def connect(config: Config, context: str = "", cluster_name: str = "", namespace: str = "", *, source: str = "") -> Access:
    """Prepares the access to a cluster that a kubeconfig describes. Runs the exec plugin of the user, if there is one.

    Args:
        config: the kubeconfig.
        context: the name of the context; by default the current context.
        cluster_name: the name of the cluster; by default that of the context.
        namespace: the default namespace; by default that of the context.
        source: the file or files of the kubeconfig, for error messages.

    Raises:
        UserError: an entry is missing, a certificate cannot be read, or the exec plugin is missing, fails, does not end within
            `kubeconfig_login.EXEC_SECONDS`, or prints no credentials.
    """
    entry = _entry(config, "contexts", context or text(config, "current-context"), "context", source)
    target = cluster(config, context, cluster_name, source=source)
    user = _entry(config, "users", text(entry, "user"), "user", source) if entry.get("user") else {}
    server = text(target, "server").rstrip("/")
    if not server.startswith(("https://", "http://")) or not _valid(server):
        example = "https://cluster.example:6443"
        raise UserError("The kubeconfig has no address of an API server.", where="server", found=server, example=example)
    proxy = text(target, "proxy-url")
    if proxy and not (proxy.startswith(("http://", "https://")) and _valid(proxy)):
        example = "proxy-url: http://proxy.example:3128"
        found = proxy.rpartition("@")[2]  # without a password
        raise UserError("The proxy of the kubeconfig is not an HTTP proxy.", where="proxy-url", found=found, example=example)
    renewal: Callable[[], dict[str, str]] | None = None
    if isinstance(user.get("exec"), dict):
        plugin = cast("Config", user["exec"])
        user = {**user, **kubeconfig_login.exec_credentials(plugin, target)}
        renewal = partial(_headers_of_plugin, plugin, target)
    elif user.get("tokenFile"):
        with_file = {key: value for key, value in user.items() if key != "token"}  # kubectl prefers the file, too
        user, renewal = with_file, partial(_headers, with_file)
    elif user.get("auth-provider"):
        raise UserError(
            "The kubeconfig logs in with an `auth-provider`, which Kubernetes no longer supports.",
            where=f"user {text(entry, 'user')}",
            fix="write the kubeconfig again with the tool of your cloud provider: newer versions write an `exec` plugin",
        )
    server_name = text(target, "tls-server-name") or None
    if server_name and not _valid(f"https://{server_name}"):
        what = "The name of the server in the kubeconfig is not a host name."
        raise UserError(what, where="tls-server-name", found=server_name, example="tls-server-name: cluster.example")
    return Access(
        server=server,
        namespace=namespace or text(entry, "namespace") or "default",
        context=kubeconfig_login.tls(target, user, server_name) if server.startswith("https") else None,
        headers=_headers(user),
        server_name=server_name,
        proxy=proxy or None,
        renewal=renewal,
    )


def default() -> str:
    """Returns the paths of the kubeconfigs that are read if none is named, as `KUBECONFIG` separates them."""
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def _merged(files: list[Path]) -> Config:
    """Merges kubeconfigs as `kubectl` does: the first file that has a name or a field decides."""
    existing = [load_file(file) for file in files if file.is_file()]
    if not existing:
        fix = "set KUBECONFIG, or the path of a kubeconfig in the stack file or in the provider"
        raise UserError("There is no kubeconfig.", where=" or ".join(map(str, files)), fix=fix)
    merged: Config = {}
    for config in existing:
        for key, value in config.items():
            if key in {"clusters", "contexts", "users"}:
                entries = cast("list[Config]", merged.setdefault(key, []))
                names = {text(entry, "name") for entry in entries}
                entries.extend(entry for entry in items(config, key) if text(entry, "name") not in names)
            elif value:
                merged.setdefault(key, value)
    return merged


def _parsed(content: str, where: str) -> Config:
    try:
        loaded: object = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError) as error:  # a date that does not exist is a ValueError
        raise UserError("The kubeconfig is not YAML.", where=where, found=error) from None
    if not isinstance(loaded, dict):
        raise UserError("The kubeconfig is not a mapping.", where=where, example=_EXAMPLE)
    return cast("Config", loaded)


def _valid(url: str) -> bool:
    """Returns whether the host and the port of a URL are ones that a client can connect to."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")
        return bool(host) and host.isascii() and parts.port != 0
    except ValueError:  # UnicodeError is a ValueError
        return False


def _entry(config: Config, section: str, name: str, kind: str, source: str) -> Config:
    """Returns the entry with this name: its field `kind` (`cluster`, `user`, `context`) in a section (`clusters`, ...)."""
    entries = items(config, section)
    for entry in entries:
        if entry.get("name") == name:
            content = entry.get(kind)
            return cast("Config", content) if isinstance(content, dict) else {}
    names = ", ".join(text(entry, "name") for entry in entries) or "none"
    where = f"{source}, {section}" if source else section
    raise UserError(f"The kubeconfig has no {kind} of this name.", where=where, found=name or "no name", example=names)


def _headers_of_plugin(plugin: Config, target: Config) -> dict[str, str]:
    return _headers(kubeconfig_login.exec_credentials(plugin, target))


def _headers(user: Config) -> dict[str, str]:
    token = text(user, "token")
    if not token and user.get("tokenFile"):
        try:
            token = Path(str(user["tokenFile"])).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise UserError("The token file of the kubeconfig cannot be read.", found=error) from None
    if token and not (token.isascii() and token.isprintable()):
        # The token itself is not shown.
        found = f"{len(token)} characters, some of which cannot be part of a token"
        raise UserError("The token of the kubeconfig is not a token.", found=found, fix="log in again")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}
