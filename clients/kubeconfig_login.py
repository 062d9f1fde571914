"""What a kubeconfig's entries need before a request: TLS settings, and the credentials that an exec plugin prints."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final, cast

from common import bounded_process
from common.errors import UserError

Config = dict[str, Any]  # YAML of the user
EXEC_SECONDS: Final = 60.0
"""A login that a person confirms in a browser takes longer than a request, but must end."""
_OUTPUT_CHARACTERS: Final = 500
_CREDENTIALS: Final = {
    "token": "token",
    "clientCertificateData": "client-certificate-data",
    "clientKeyData": "client-key-data",
}
"""Fields of an `ExecCredential`, and the fields of a kubeconfig's user that they stand for."""
_CLUSTER_INFO: Final = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)


def items(config: Config, section: str) -> list[Config]:
    """Returns the entries of a section, without those that are no mappings."""
    entries = config.get(section)
    return [
        cast("Config", entry)
        for entry in cast("list[object]", entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    ]


def text(config: Config, key: str) -> str:
    """Returns a field as text, or an empty text if it is missing."""
    value = config.get(key)
    return "" if value is None else str(value)


class _NamedContext(ssl.SSLContext):
    """TLS settings that expect a name in the server's certificate which is not the host in the address."""

    server_name: str

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:  # noqa: ANN401 the arguments of the base class
        return super().wrap_socket(*args, **{**options, "server_hostname": self.server_name})


def tls(target: Config, user: Config, server_name: str | None) -> ssl.SSLContext:
    """Returns the TLS settings for a cluster entry and a user entry.

    Raises:
        UserError: a certificate or a key cannot be read.
    """
    context: ssl.SSLContext
    if server_name:
        context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = server_name
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if target.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif authority := _pem(target, "certificate-authority"):
            context.load_verify_locations(cadata=authority.decode())
        else:
            context.load_default_certs()
        certificate, key = _pem(user, "client-certificate"), _pem(user, "client-key")
        if certificate and key:
            with tempfile.NamedTemporaryFile() as file:  # the ssl module reads keys from files only; this one has mode 0600
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
    except (ValueError, OSError) as error:  # ssl.SSLError is an OSError
        where = text(target, "server")
        raise UserError("A certificate or key of the kubeconfig cannot be read.", where=where, found=error) from None
    return context


def _pem(holder: Config, key: str) -> bytes | None:
    """Returns a certificate or a key, which an entry contains inline as base64 or as the path of a file."""
    if holder.get(f"{key}-data"):
        return base64.b64decode(str(holder[f"{key}-data"]))
    return Path(str(holder[key])).read_bytes() if holder.get(key) else None


def exec_credentials(plugin: Config, target: Config) -> Config:
    """Runs the credential plugin of a kubeconfig and returns its credentials as fields of the user entry.

    Args:
        plugin: the user's `exec`.
        target: the cluster entry.

    Raises:
        UserError: the plugin is missing, fails, does not end in time, or does not print credentials.
    """
    arguments: object = plugin.get("args") or []
    if not isinstance(arguments, list):
        what = "The arguments of the kubeconfig's exec plugin are not a list."
        raise UserError(what, where=text(plugin, "command"), found=arguments, example="args: [eks, get-token]")
    command = [text(plugin, "command"), *[str(each) for each in cast("list[object]", arguments)]]
    where = command[0]  # without the arguments, which may contain a secret
    variables = {text(pair, "name"): text(pair, "value") for pair in items(plugin, "env")}
    info = json.dumps(_info(plugin, target))
    try:
        done = bounded_process.run(command, EXEC_SECONDS, env={**os.environ, **variables, "KUBERNETES_EXEC_INFO": info})
    except subprocess.TimeoutExpired:
        what = f"The exec plugin of the kubeconfig does not end within {EXEC_SECONDS:g} s."
        raise UserError(what, where=where, fix="run the plugin as the kubeconfig says: it may wait for a login") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character, or a variable whose name contains `=`
        fix = text(plugin, "installHint") or "install the plugin, or write the kubeconfig again"
        raise UserError("The exec plugin of the kubeconfig cannot be started.", where=where, found=error, fix=fix) from None
    if done.returncode != 0:
        found = f"status {done.returncode}: {done.stderr.strip()[-_OUTPUT_CHARACTERS:]}"
        fix = "run the plugin as the kubeconfig says: you may have to log in again"
        raise UserError("The exec plugin of the kubeconfig fails.", where=where, found=found, fix=fix)
    try:
        status: object = json.loads(done.stdout)["status"]
    except (ValueError, KeyError, TypeError):
        status = None
    fields = cast("Config", status) if isinstance(status, dict) else {}
    if not (fields.get("token") or (fields.get("clientCertificateData") and fields.get("clientKeyData"))):
        # The output is not shown: it may contain a part of a token.
        raise UserError(
            "The exec plugin of the kubeconfig prints no credentials.",
            where=where,
            found=f"{len(done.stdout)} characters that are no ExecCredential with a token or a certificate",
            fix="run the plugin as the kubeconfig says, and compare its output with its documentation",
        )
    return {key: _encoded(str(fields[name]), key) for name, key in _CREDENTIALS.items() if fields.get(name)}


def _encoded(value: str, key: str) -> str:
    return base64.b64encode(value.encode()).decode() if key.endswith("-data") else value


def _info(plugin: Config, target: Config) -> Config:
    spec: Config = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = {key: target[key] for key in _CLUSTER_INFO if key in target}
    return {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": spec}
