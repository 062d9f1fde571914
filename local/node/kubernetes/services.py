"""Renders the command lines and runit scripts of the node's services. All functions are pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from local.node.config import INSIDE, NODE_ADDRESS, NODE_NAME, POD_RANGE, SERVICE_RANGE

if TYPE_CHECKING:
    from local.node.config import NodeConfig

BINARY: Final = "/usr/local/bin/hyperkube"
"""The path of hyperkube inside the node."""
PROVISIONER: Final = "modelstack.dev/local"
_KEYS: Final = f"{INSIDE}/pki"
_ETC: Final = f"{INSIDE}/etc"
_ETCD: Final = "https://127.0.0.1:2379"
METRICS_PORT: Final = 4443

MEMORY: Final = {
    "etcd": 200,
    "kube-apiserver": 600,
    "kube-controller-manager": 150,
    "kube-scheduler": 100,
    "kubelet": 200,
    "kube-proxy": 100,
    "coredns": 60,
    "provisioner": 60,
    "metrics": 60,
    "network-policy": 60,
}
"""Soft memory limits in MiB (`GOMEMLIMIT`). Near its limit, a process collects garbage more often; above it, it still runs."""


def commands(config: NodeConfig) -> dict[str, list[str]]:
    """Returns the command line of each service by its name."""
    return {
        "etcd": _etcd(),
        "kube-apiserver": _api_server(config),
        "kube-controller-manager": _controller_manager(),
        "kube-scheduler": _scheduler(),
        "containerd": ["containerd", "--config", f"{_ETC}/containerd.toml"],
        "kubelet": _kubelet(),
        "kube-proxy": _proxy(),
        "coredns": [BINARY, "coredns", "-conf", f"{_ETC}/Corefile"],
        "registry": ["docker-registry", "serve", f"{_ETC}/registry.yaml"],
        "provisioner": [BINARY, "provisioner", *_access("provisioner"), f"--directory={INSIDE}/volumes", f"--node={NODE_NAME}"],
        "metrics": _metrics(),
        "network-policy": [BINARY, "network-policy", *_access("network-policy")],
    }


def run_script(name: str, command: list[str]) -> str:
    """Returns the script that runit starts for a service.

    The service is killed when its supervisor (`runsv`) ends: the next supervisor could not start it a second time otherwise.
    """
    environment = [f"GOMEMLIMIT={MEMORY[name]}MiB", "GOGC=60"] if name in MEMORY else []
    arguments = ["exec", "setpriv", "--pdeathsig", "KILL", "env", *environment, *(f"'{argument}'" for argument in command)]
    return "#!/bin/sh\nexec 2>&1\nulimit -n $(ulimit -H -n)\n" + " \\\n  ".join(arguments) + "\n"


def log_script(name: str) -> str:
    """Returns the script that writes a service's output to log files: up to ten files of one megabyte each, rotated."""
    folder = f"{INSIDE}/logs/{name}"
    return f"#!/bin/sh\nmkdir -p {folder}\nexec svlogd -tt {folder}\n"


def _access(name: str) -> list[str]:
    return [f"--kubeconfig={_ETC}/{name}.kubeconfig"]


def _pair(name: str, certificate: str = "--tls-cert-file", key: str = "--tls-private-key-file") -> list[str]:
    return [f"{certificate}={_KEYS}/{name}.crt", f"{key}={_KEYS}/{name}.key"]


def _etcd() -> list[str]:
    return [
        BINARY,
        "etcd",
        f"--name={NODE_NAME}",
        f"--data-dir={INSIDE}/etcd",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        f"--initial-cluster={NODE_NAME}=http://127.0.0.1:2380",
        *_pair("etcd", "--cert-file", "--key-file"),
        "--client-cert-auth",
        f"--trusted-ca-file={_KEYS}/etcd-ca.crt",
        # etcd keeps the entries since its last snapshot in memory. With the default count they are two thirds of its memory,
        # and a small cluster needs few of them.
        "--snapshot-count=2000",
        "--auto-compaction-retention=1h",
        "--log-level=warn",
    ]


def _api_server(config: NodeConfig) -> list[str]:
    first, last = config.node_ports
    return [
        BINARY,
        "kube-apiserver",
        f"--secure-port={config.api_port}",
        f"--advertise-address={NODE_ADDRESS}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--service-node-port-range={first}-{last}",
        f"--etcd-servers={_ETCD}",
        f"--etcd-cafile={_KEYS}/etcd-ca.crt",
        *_pair("apiserver-etcd", "--etcd-certfile", "--etcd-keyfile"),
        *_pair("apiserver"),
        f"--client-ca-file={_KEYS}/ca.crt",
        f"--kubelet-certificate-authority={_KEYS}/ca.crt",
        *_pair("apiserver-kubelet", "--kubelet-client-certificate", "--kubelet-client-key"),
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={_KEYS}/service-accounts.pub",
        f"--service-account-signing-key-file={_KEYS}/service-accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--authentication-config={_ETC}/authentication.yaml",
        f"--encryption-provider-config={_ETC}/encryption.yaml",
        f"--requestheader-client-ca-file={_KEYS}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        *_pair("front-proxy", "--proxy-client-cert-file", "--proxy-client-key-file"),
        "--enable-aggregator-routing=true",
        "--allow-privileged=true",
        "--profiling=false",
    ]


def _controller_manager() -> list[str]:
    return [
        BINARY,
        "kube-controller-manager",
        *_access("kube-controller-manager"),
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={_KEYS}/service-accounts.key",
        f"--root-ca-file={_KEYS}/ca.crt",
        f"--cluster-cidr={POD_RANGE}",
        "--allocate-node-cidrs=false",
        "--terminated-pod-gc-threshold=100",
        "--profiling=false",
    ]


def _scheduler() -> list[str]:
    return [
        BINARY,
        "kube-scheduler",
        *_access("kube-scheduler"),
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    ]


def _kubelet() -> list[str]:
    return [
        BINARY,
        "kubelet",
        *_access("kubelet"),
        f"--config={_ETC}/kubelet.yaml",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def _proxy() -> list[str]:
    return [
        BINARY,
        "kube-proxy",
        *_access("kube-proxy"),
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_RANGE}",
        f"--hostname-override={NODE_NAME}",
        "--healthz-bind-address=127.0.0.1:10256",
        # 0: kube-proxy must not change the machine's settings for connection tracking.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]


def _metrics() -> list[str]:
    return [
        BINARY,
        "metrics",
        *_access("metrics"),
        f"--kubelet=https://{NODE_ADDRESS}:10250",
        f"--listen={NODE_ADDRESS}:{METRICS_PORT}",
        *_pair("metrics"),
        f"--client-ca-file={_KEYS}/front-proxy-ca.crt",
    ]
