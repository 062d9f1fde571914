"""Renders the configuration files of a node's services. All functions are pure; the encryption key is an argument."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local.node.config import DNS_SERVICE, DOMAIN, INSIDE, NODE_ADDRESS, POD_RANGE, RESOLVER
from local.node.kubernetes import pki, services

if TYPE_CHECKING:
    from local.node.config import NodeConfig
    from local.node.machine import Machine


def render(config: NodeConfig, machine: Machine, secrets_key: str) -> dict[str, str]:
    """Returns the content of each configuration file by its path below the folder `etc`.

    Args:
        config: the node.
        machine: the properties of the machine.
        secrets_key: the key that encrypts Secrets in etcd: 32 bytes in base64.
    """
    files = {
        "Corefile": _corefile(),
        "authentication.yaml": _json(_authentication()),
        "cni/10-node.conflist": _json(_network()),
        "containerd.toml": _containerd(config, machine),
        "encryption.yaml": _json(_encryption(secrets_key)),
        "kubelet.yaml": _json(_kubelet(machine)),
        "registry.yaml": _json(_registry(config)),
        "resolv.conf": f"nameserver {RESOLVER}\n",
    }
    for name in pki.CLIENTS:
        files[f"{name}.kubeconfig"] = pki.component_kubeconfig(config, name)
    for name, command in services.commands(config).items():
        files[f"service/{name}/run"] = services.run_script(name, command)
        files[f"service/{name}/log/run"] = services.log_script(name)
    return files


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"


def _corefile() -> str:
    # Negative responses for names of the cluster are not cached: a new Service must be found at once, also by a client that
    # has queried its name before.
    return f""".:53 {{
    bind {NODE_ADDRESS}
    errors
    health 127.0.0.1:8080
    ready 127.0.0.1:8181
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {INSIDE}/etc/coredns.kubeconfig
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
    forward . {INSIDE}/etc/resolv.conf
    cache 30 {{
        disable denial {DOMAIN}
    }}
    loadbalance
}}
"""


def _authentication() -> dict[str, object]:
    probes = [{"path": path} for path in ("/livez", "/readyz", "/healthz")]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": True, "conditions": probes},
    }


def _encryption(key: str) -> dict[str, object]:
    no_options: dict[str, object] = {}
    providers = [{"secretbox": {"keys": [{"name": "1", "secret": key}]}}, {"identity": no_options}]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }


def _network() -> dict[str, object]:
    # Point-to-point links instead of a bridge: with a bridge, replies between pods pass the node's connection tracking only if
    # the kernel has the module br_netfilter, which some machines lack.
    return {
        "cniVersion": "0.4.0",
        "name": "node",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(machine: Machine) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{INSIDE}/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{INSIDE}/pki/kubelet.crt",
        "tlsPrivateKeyFile": f"{INSIDE}/pki/kubelet.key",
        "address": NODE_ADDRESS,
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        "resolvConf": f"{INSIDE}/etc/resolv.conf",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "volumePluginDir": f"{INSIDE}/kubelet-plugins",
        # A negative score needs the capability CAP_SYS_RESOURCE, which some machines do not grant; 0 needs no capability.
        "oomScoreAdj": -999 if machine.sys_resource else 0,
        "serializeImagePulls": False,
        # The node shares the machine's disk, which may be fuller than the disk of a usual cluster node: the limits are low.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "500Mi", "imagefs.available": "500Mi"},
        # The default is five minutes. After disk space has been freed, no pod would start for that long.
        "evictionPressureTransitionPeriod": "10s",
        "imageGCHighThresholdPercent": 98,
        "imageGCLowThresholdPercent": 96,
        "maxPods": 110,
    }


def _containerd(config: NodeConfig, machine: Machine) -> str:
    registry = f"localhost:{config.registry_port}"
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{INSIDE}/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[{cri}]
  restrict_oom_score_adj = {str(not machine.sys_resource).lower()}
  sandbox_image = "{registry}/pause:1"
[{cri}.containerd]
  snapshotter = "{machine.snapshotter}"
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{INSIDE}/etc/cni"
[{cri}.registry.mirrors."{registry}"]
  endpoint = ["http://{registry}"]
"""


def _registry(config: NodeConfig) -> dict[str, object]:
    return {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": f"{INSIDE}/registry"}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{config.registry_port}"},
    }
