"""The command that creates the namespaces of a node, and the script of the first process inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from local.node.config import INSIDE, NODE_ADDRESS, NODE_NAME, SERVICE_RANGE
from local.node.kubernetes.services import BINARY

if TYPE_CHECKING:
    from pathlib import Path

    from local.node.cgroups import Cgroup
    from local.node.config import NodeConfig

# The script enters the group `node` only to make it the root of the new control group namespace, and then returns to `outer`.
_OUTER: Final = """
set -eu
for folder in $NODE_GROUPS; do echo 0 > "$folder/cgroup.procs"; done
exec unshare --cgroup sh -euc '
    for folder in $OUTER_GROUPS; do echo 0 > "$folder/cgroup.procs"; done
    exec unshare --mount --net --pid --ipc --uts --fork --kill-child --propagation private sh -euc "$INNER"
'
"""

# The script of the first process inside the namespaces. Its last command replaces it with runit's `runsvdir`, which is then
# the first process: when `runsvdir` ends, the node ends.
_INNER: Final = """
for folder in $NODE_GROUPS; do echo 0 > "$folder/init/cgroup.procs"; done

mount -t tmpfs -o mode=755 modelstack "$USERLAND/../scratch"
cd "$USERLAND/../scratch"
mkdir upper work root
mount -t overlay -o "lowerdir=$USERLAND,upperdir=$PWD/upper,workdir=$PWD/work" modelstack root
cd root

mount -t proc proc proc
mount --rbind /dev dev
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp

# Settings in /proc/sys that have no namespace keep the machine's values. The kubelet requires certain values of some of
# them, so files with these values are mounted over the settings: the kubelet reads the files, the kernel does not.
mkdir run/sysctl
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \\
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    path=${setting%=*}
    [ -e "proc/sys/$path" ] || continue
    file=run/sysctl/$(echo "$path" | tr / _)
    echo "${setting#*=}" > "$file"
    mount --bind "$file" "proc/sys/$path"
done

if [ -n "$V1_GROUPS" ]; then
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    for options in $V1_GROUPS; do
        folder=sys/fs/cgroup/${options#name=}
        mkdir "$folder"
        mount -t cgroup -o "$options" cgroup "$folder"
    done
else
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    for name in $(cat sys/fs/cgroup/cgroup.controllers); do
        echo "+$name" > sys/fs/cgroup/cgroup.subtree_control || true
    done
fi

mkdir -p ".$INSIDE" var/lib/kubelet var/log/pods
mount --bind "$DATA" ".$INSIDE"
mount --bind "$DATA/kubelet" var/lib/kubelet
mount --bind "$DATA/logs/pods" var/log/pods
: > ".$BINARY"
mount --bind "$HYPERKUBE" ".$BINARY"
mount -o remount,bind,ro ".$BINARY"
[ ! -d /lib/modules ] || { mkdir -p lib/modules; mount --bind -o ro /lib/modules lib/modules; }
echo "127.0.0.1 localhost $NODE_NAME" > etc/hosts
cp "$DATA/etc/resolv.conf" etc/resolv.conf
echo "$NODE_NAME" > etc/hostname
hostname "$NODE_NAME"

mkdir .host
pivot_root . .host
exec /usr/sbin/chroot . /bin/sh -euc '
    umount -l /.host
    rmdir /.host
    cd /
    mount --make-rshared /
    ip link set lo up
    ip address add "$NODE_ADDRESS/32" dev lo
    # With this route, the node itself reaches services also on a machine without a default route: the packets need any
    # route, and on their way the address of the service is translated to that of a pod.
    ip route add "$SERVICE_RANGE" dev lo src "$NODE_ADDRESS"
    echo 1 > /proc/sys/net/ipv4/ip_forward
    # Debian uses the nftables variant of iptables by default; some kernels support only the legacy variant.
    iptables -t nat -S > /dev/null 2>&1 || update-alternatives --set iptables /usr/sbin/iptables-legacy
    cp -r "$INSIDE/etc/service" /run/service
    find /run/service -name run -exec chmod 755 {} +
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root runsvdir /run/service
'
"""


SCRIPTS: Final = _OUTER + _INNER
"""The scripts of a running node. They are part of its generation: see `record.Task`."""


def start_command(config: NodeConfig, group: Cgroup, userland: Path, hyperkube: Path) -> tuple[list[str], dict[str, str]]:
    """Returns the command that starts a node, and the environment variables of the command.

    Root has to run it in the part `outer` of the control group. The process runs for as long as the namespaces exist; its only
    child is their first process.
    """
    version_1 = [hierarchy.options for hierarchy in group.hierarchies if hierarchy.version == 1]
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "INNER": _INNER,
        "OUTER_GROUPS": " ".join(map(str, group.folders("outer"))),
        "NODE_GROUPS": " ".join(map(str, group.folders("node"))),
        "V1_GROUPS": " ".join(version_1),
        "USERLAND": str(userland),
        "HYPERKUBE": str(hyperkube.resolve()),
        "DATA": str(config.root.resolve()),
        "INSIDE": INSIDE,
        "BINARY": BINARY,
        "NODE_NAME": NODE_NAME,
        "NODE_ADDRESS": NODE_ADDRESS,
        "SERVICE_RANGE": SERVICE_RANGE,
    }
    return ["sh", "-c", _OUTER], environment
