"""Reads a kubeconfig and prepares the connection to a cluster that it describes."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import yaml

from common.errors import UserError
from local.plugins.kubernetes.manifests import objects

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object, Value

_EXEC_SECONDS = 60


@dataclass(frozen=True)
class Access:
    """The connection to one cluster as one user."""

    server: str
    namespace: str
    context: ssl.SSLContext | None
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    server_name: str | None = None


def load(kubeconfig: Value) -> Object:
    """Loads a kubeconfig.

    Args:
        kubeconfig: its text (YAML or JSON), the path of its file, or the mapping itself. None or an empty text stands for the
            first existing file of `KUBECONFIG`, by default `~/.kube/config`.

    Raises:
        UserError: there is no kubeconfig, or it cannot be read.
    """
    if isinstance(kubeconfig, dict):
        return cast("Object", kubeconfig)
    if not kubeconfig:
        places = [Path(place) for place in os.environ.get("KUBECONFIG", "").split(":") if place] or [Path("~/.kube/config")]
        source = next((place.expanduser() for place in places if place.expanduser().is_file()), None)
        if source is None:
            raise UserError(
                "There is no kubeconfig",
                where=" or ".join(str(place) for place in places),
                fix="set KUBECONFIG, or the `kubeconfig` of the provider",
            )
        content = source.read_text()
    else:
        content = str(kubeconfig)
        if "\n" not in content and not content.lstrip().startswith("{"):
            source = Path(content).expanduser()
            if not source.is_file():
                raise UserError("The provider's kubeconfig is neither a kubeconfig nor a file that exists", found=content[:80])
            content = source.read_text()
    try:
        loaded: Value = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise UserError(f"The provider's kubeconfig is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise UserError("The provider's kubeconfig is not a mapping", example="apiVersion: v1\nkind: Config\nclusters: ...")
    return cast("Object", loaded)


def _entry(config: Object, section: str, name: str, kind: str) -> Object:
    """Returns the entry with this name: its field `kind` (`cluster`, `user`, `context`) in a section (`clusters`, ...)."""
    for entry in objects.items(config, section):
        if entry.get("name") == name:
            content = entry.get(kind)
            return cast("Object", content) if isinstance(content, dict) else {}
    names = ", ".join(str(entry.get("name")) for entry in objects.items(config, section)) or "none"
    raise UserError(f"The kubeconfig has no {kind} of this name", where=section, found=name, example=names)


def cluster(config: Object, context: str = "", cluster_name: str = "") -> Object:
    """Returns the cluster entry of a context (default: the current context). The provider identifies a cluster by its entry.

    Raises:
        UserError: the kubeconfig has no such context or cluster.
    """
    entry = _entry(config, "contexts", context or str(config.get("current-context")), "context")
    return _entry(config, "clusters", cluster_name or str(entry.get("cluster")), "cluster")


def connect(config: Object, context: str = "", cluster_name: str = "", namespace: str = "") -> Access:
    """Prepares the access to a cluster that a kubeconfig describes.

    Raises:
        UserError: an entry is missing, a certificate cannot be read, or the credential program fails.
    """
    entry = _entry(config, "contexts", context or str(config.get("current-context")), "context")
    target = cluster(config, context, cluster_name)
    user = _entry(config, "users", str(entry.get("user")), "user") if entry.get("user") else {}
    if isinstance(user.get("exec"), dict):
        user = {**user, **_exec_credentials(cast("Object", user["exec"]))}
    headers: dict[str, str] = {}
    if token := _token(user):
        headers["Authorization"] = f"Bearer {token}"
    elif user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    server = str(target.get("server", "")).rstrip("/")
    return Access(
        server=server,
        namespace=namespace or str(entry.get("namespace") or "default"),
        context=_tls(target, user) if server.startswith("https") else None,
        headers=headers,
        server_name=objects.text(target, "tls-server-name") or None,
    )


def _token(user: Object) -> str:
    if user.get("token"):
        return str(user["token"])
    return Path(str(user["tokenFile"])).read_text().strip() if user.get("tokenFile") else ""


def _pem(holder: Object, key: str) -> bytes | None:
    """Returns a certificate or a key, which an entry contains inline as base64 or as the path of a file."""
    if holder.get(f"{key}-data"):
        return base64.b64decode(str(holder[f"{key}-data"]))
    return Path(str(holder[key])).read_bytes() if holder.get(key) else None


def _tls(target: Object, user: Object) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        if target.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif authority := _pem(target, "certificate-authority"):
            context = ssl.create_default_context(cadata=authority.decode())
        certificate, key = _pem(user, "client-certificate"), _pem(user, "client-key")
        if certificate and key:
            with tempfile.NamedTemporaryFile() as file:  # the ssl module reads keys from files only
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
    except (ValueError, OSError) as error:  # ssl.SSLError is an OSError
        raise UserError(f"A certificate or key of the kubeconfig cannot be read: {error}") from error
    return context


def _exec_credentials(plugin: Object) -> Object:
    """Runs the credential program of the kubeconfig (`exec`) and returns its credentials as fields of the user entry."""
    command = [str(plugin.get("command")), *[str(arg) for arg in cast("list[Value]", plugin.get("args") or [])]]
    info = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {str(pair["name"]): str(pair.get("value", "")) for pair in objects.items(plugin, "env")}
    try:
        done = subprocess.run(  # the user's own kubeconfig names the program
            command,
            env={**os.environ, **environment, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            capture_output=True,
            text=True,
            check=True,
            timeout=_EXEC_SECONDS,
        )
        status = objects.at(json.loads(done.stdout), "status")
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        output = getattr(error, "stderr", "") or ""
        raise UserError(f"The kubeconfig's credential program failed: {error} {output}".strip(), where=command[0]) from error
    fields = cast("Object", status) if isinstance(status, dict) else {}
    encoded = {
        key: base64.b64encode(objects.text(fields, name).encode()).decode() for key, name in _EXEC_FIELDS if fields.get(name)
    }
    return {**encoded, **({"token": fields["token"]} if fields.get("token") else {})}


_EXEC_FIELDS = (("client-certificate-data", "clientCertificateData"), ("client-key-data", "clientKeyData"))
