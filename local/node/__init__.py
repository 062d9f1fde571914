"""A one-node Kubernetes in namespaces of its own.

    supervisor (on the machine)
      |- unshare            network, mount, process, control group, ipc and host name namespaces
      |    `- runsvdir      first process inside; runit keeps each service alive:
      |         etcd, API server, controller manager, scheduler, containerd, kubelet, kube-proxy,
      |         CoreDNS, registry, volume provisioner, metrics
      |- relay              the node's ports on 127.0.0.1
      `- pasta              the node's way out

The machine's network, firewall, mounts and container engines are not touched. All data lies below one folder; all processes
are in one control group, by which they are found and ended.
"""

from local.node.config import NodeConfig
from local.node.lifecycle.start import start
from local.node.lifecycle.status import Status, processes, status
from local.node.lifecycle.stop import remove, stop

__all__ = ["NodeConfig", "Status", "processes", "remove", "start", "status", "stop"]
