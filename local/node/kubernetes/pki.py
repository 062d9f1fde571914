"""The keys and certificates of a node: the identity of each component, and the authorities that it trusts. Created once."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from local import userland
from local.node.config import API_SERVICE, DOMAIN, INSIDE, NODE_ADDRESS, NODE_NAME, NodeConfig

if TYPE_CHECKING:
    from pathlib import Path

_DAYS: Final = 3650
AUTHORITIES: Final = ("ca", "etcd-ca", "front-proxy-ca")
"""etcd and the aggregation layer have their own authorities, so they accept no other certificate of the cluster."""


@dataclass(frozen=True)
class Certificate:
    """A certificate that is valid for servers and for clients.

    Args:
        name: the name of its files, without the extension.
        user: the common name; for a client, this is the Kubernetes user.
        group: the organisation; for a client, this is the Kubernetes group.
        hosts: the server's names and addresses, in the format of openssl's `subjectAltName`.
        authority: the name of the authority that signs it.
    """

    name: str
    user: str
    group: str = ""
    hosts: tuple[str, ...] = ()
    authority: str = "ca"


CERTIFICATES: Final = (
    Certificate(
        "apiserver",
        "kube-apiserver",
        hosts=(
            *(f"DNS:{name}" for name in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")),
            f"DNS:kubernetes.default.svc.{DOMAIN}",
            *(f"IP:{address}" for address in ("127.0.0.1", API_SERVICE, NODE_ADDRESS)),
        ),
    ),
    Certificate("apiserver-kubelet", "kube-apiserver-kubelet-client"),
    Certificate("apiserver-etcd", "kube-apiserver-etcd-client", authority="etcd-ca"),
    Certificate("front-proxy", "front-proxy-client", authority="front-proxy-ca"),
    Certificate("etcd", "etcd", hosts=("DNS:localhost", "IP:127.0.0.1"), authority="etcd-ca"),
    Certificate("kubelet", f"system:node:{NODE_NAME}", "system:nodes", hosts=(f"DNS:{NODE_NAME}", f"IP:{NODE_ADDRESS}")),
    Certificate("kube-controller-manager", "system:kube-controller-manager"),
    Certificate("kube-scheduler", "system:kube-scheduler"),
    Certificate("kube-proxy", "system:kube-proxy"),
    Certificate("coredns", "modelstack:coredns"),
    Certificate("provisioner", "modelstack:provisioner"),
    Certificate("metrics", "modelstack:metrics", hosts=("DNS:metrics.kube-system.svc",)),
    Certificate("network-policy", "modelstack:network-policy"),
    Certificate("admin", "admin", "system:masters"),
)
CLIENTS: Final = (
    "kubelet",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "coredns",
    "provisioner",
    "metrics",
    "network-policy",
)
"""The components that are clients of the API server. Each has a kubeconfig with its name."""


def script() -> str:
    """Returns the shell script that creates the missing keys and certificates in the current folder."""
    lines = ["set -eu", "umask 077"]
    for authority in AUTHORITIES:
        request = f"openssl req -x509 -new -sha256 -key {authority}.key -subj /CN=modelstack-{authority} -days {_DAYS}"
        lines += _if_missing(f"{authority}.crt", _new_key(authority), f"{request} -out {authority}.crt")
    for item in CERTIFICATES:
        subject = (f"/O={item.group}" if item.group else "") + f"/CN={item.user}"
        extensions = ["basicConstraints=CA:FALSE", "extendedKeyUsage=clientAuth,serverAuth"]
        if item.hosts:
            extensions.append("subjectAltName=" + ",".join(item.hosts))
        signer = f"-CA {item.authority}.crt -CAkey {item.authority}.key -CAcreateserial"
        lines += _if_missing(
            f"{item.name}.crt",
            _new_key(item.name),
            f"openssl req -new -sha256 -key {item.name}.key -subj {subject} -out request",
            f"printf '%s\\n' {' '.join(extensions)} > extensions",
            f"openssl x509 -req -sha256 -in request {signer} -days {_DAYS} -extfile extensions -out {item.name}.crt",
        )
    public = "openssl ec -in service-accounts.key -pubout -out service-accounts.pub"
    lines += _if_missing("service-accounts.pub", _new_key("service-accounts"), public)
    lines += _if_missing("secrets.key", "openssl rand -base64 32 > secrets.key")
    lines.append("rm -f request extensions *.srl")
    return "\n".join(lines) + "\n"


def _if_missing(file: str, *commands: str) -> list[str]:
    return [f"if [ ! -e {file} ]; then", *commands, "fi"]


def _new_key(name: str) -> str:
    return f"openssl ecparam -name prime256v1 -genkey -noout -out {name}.key"


def ensure(config: NodeConfig, root: Path) -> None:
    """Creates the missing keys and certificates of a node. Incomplete ones of an interrupted start are deleted.

    Args:
        config: the node.
        root: the root of the userland, whose openssl is used.

    Raises:
        UserError: openssl failed.
    """
    required = [config.keys / f"{name}.crt" for name in (*AUTHORITIES, *(item.name for item in CERTIFICATES))]
    if all(path.exists() for path in (*required, config.keys / "secrets.key")):
        return
    part, old = config.root / "pki.part", config.root / "pki.old"
    shutil.rmtree(part, ignore_errors=True)
    if old.exists() and not config.keys.exists():
        # An earlier start was interrupted after it had renamed the old keys and before it put the new ones in their place.
        old.rename(config.keys)
    if config.keys.exists():
        shutil.copytree(config.keys, part)
    else:
        part.mkdir(mode=0o700)
    command = userland.argv(root, ["sh", "-c", f"cd {INSIDE}\n{script()}"], [(part, INSIDE)])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError("The keys of the node cannot be created.", where=str(config.keys), found=done.stderr[-1000:])
    shutil.rmtree(old, ignore_errors=True)
    if config.keys.exists():
        config.keys.rename(old)
    part.rename(config.keys)
    shutil.rmtree(old, ignore_errors=True)


def component_kubeconfig(config: NodeConfig, name: str) -> str:
    """Returns the kubeconfig of a component. It refers to the certificate files by their paths inside the node."""
    keys = f"{INSIDE}/pki"
    return _kubeconfig(
        config,
        {"certificate-authority": f"{keys}/ca.crt"},
        {"client-certificate": f"{keys}/{name}.crt", "client-key": f"{keys}/{name}.key"},
    )


def admin_kubeconfig(config: NodeConfig) -> str:
    """Returns the kubeconfig of the administrator for use on the machine. It contains the certificates and the key."""

    def data(name: str) -> str:
        return base64.b64encode((config.keys / name).read_bytes()).decode()

    return _kubeconfig(
        config,
        {"certificate-authority-data": data("ca.crt")},
        {"client-certificate-data": data("admin.crt"), "client-key-data": data("admin.key")},
    )


def _kubeconfig(config: NodeConfig, authority: dict[str, str], user: dict[str, str]) -> str:
    # JSON is a subset of YAML, so all Kubernetes clients can read it.
    name = NODE_NAME
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://127.0.0.1:{config.api_port}", **authority}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(document, indent=2) + "\n"
