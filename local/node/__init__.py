"""A one-node Kubernetes cluster in its own namespaces.

    supervisor (on the machine)
      |- unshare            creates the network, mount, process, control group, IPC and host name namespaces
      |    `- runsvdir      the first process inside; it is part of runit, which restarts each service that ends:
      |         etcd, API server, controller manager, scheduler, containerd, kubelet, kube-proxy,
      |         CoreDNS, container registry, volume provisioner, metrics server, network policies
      |- relay              opens the node's ports on 127.0.0.1 of the machine
      `- pasta (uplink)     the node's connections to the outside

The node does not change the machine's network, firewall, mounts or container engines. All its data is in one folder. All its
processes are in one control group, which is used to find and to end them.
"""
