"""The configuration files of a node's services. Pure, but for the key that encrypts secrets, which is handed in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local.node.config import DNS_SERVICE, DOMAIN, INSIDE, NODE_ADDRESS, POD_RANGE, RESOLVER
from local.node.kubernetes import pki, services

if TYPE_CHECKING:
    from local.node.config import NodeConfig
    from local.node.machine import Machine


def render(config: NodeConfig, machine: Machine, secrets_key: str) -> dict[str, str]:
    """All files below `etc`, by their path there.

    Args:
        config: the node.
        machine: what the machine can and cannot do.
        secrets_key: 32 bytes in base64, with which secrets are encrypted in etcd.
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
    # Names of the cluster that do not exist are not remembered: a Service made a moment ago must be found.
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
    nothing: dict[str, object] = {}
    providers = [{"secretbox": {"keys": [{"name": "1", "secret": key}]}}, {"identity": nothing}]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }


def _network() -> dict[str, object]:
    # Point to point rather than a bridge: replies from one pod to another pass the node's connection tracking without
    # br_netfilter, a module that the machine might lack.
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
        # Lowering a score needs a capability that some machines deny; 0 needs none.
        "oomScoreAdj": -999 if machine.sys_resource else 0,
        "serializeImagePulls": False,
        # The disk is the machine's own and may well be fuller than a cluster's would be.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "500Mi", "imagefs.available": "500Mi"},
        # Five minutes unless told: whoever has made room would wait for them before a pod starts again.
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
