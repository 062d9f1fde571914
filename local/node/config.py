"""The configuration of a node, and what is derived from it: addresses, folders, the name of the control group."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common import paths
from common.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

NODE_NAME: Final = "modelstack"
NODE_ADDRESS: Final = "10.89.0.1"
"""An address on the loopback interface of the node's network namespace: it does not depend on the machine's network."""
RESOLVER: Final = "10.89.0.53"
"""The DNS server of the node. The uplink forwards queries for this address to the machine's own resolver."""
POD_RANGE: Final = "10.88.0.0/16"
SERVICE_RANGE: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
DNS_SERVICE: Final = "10.96.0.10"
DOMAIN: Final = "cluster.local"
INSIDE: Final = "/node"
"""The path of `NodeConfig.root` inside the node's mount namespace."""

_LOWEST_PORT, _HIGHEST_PORT = 1, 65535


@dataclass(frozen=True)
class NodeConfig:
    """One node: the folder with its data, and the ports that it uses on the machine's loopback interface.

    Args:
        root: the folder with all data of the node. Nodes with different roots and ports can run at the same time.
        api_port: the port of the API server.
        registry_port: the port of the container registry, on the machine and inside the node.
        node_ports: the first and the last port for Services of type NodePort.

    Raises:
        UserError: a port is not between 1 and 65535, the range is reversed, or two services have the same port.
    """

    root: Path = paths.NODE
    api_port: int = 6443
    registry_port: int = 5000
    node_ports: tuple[int, int] = (30000, 30031)

    def __post_init__(self) -> None:
        first, last = self.node_ports
        for name, port in (
            ("api-port", self.api_port),
            ("registry-port", self.registry_port),
            ("node-ports", first),
            ("node-ports", last),
        ):
            if not _LOWEST_PORT <= port <= _HIGHEST_PORT:
                raise UserError("This is not a valid port.", where=name, found=port, example="6443")
        if first > last:
            raise UserError(
                "The range of node ports ends before it begins.",
                where="node-ports",
                found=f"{first}-{last}",
                example="30000-30031",
            )
        used = self.ports()
        twice = sorted({port for port in used if used.count(port) > 1})
        if twice:
            raise UserError(
                "Two services of the node have the same port.", where="ports", found=twice[0], fix="choose different ports"
            )

    def ports(self) -> list[int]:
        """Returns all ports that the node uses on 127.0.0.1 of the machine."""
        return [self.api_port, self.registry_port, *range(self.node_ports[0], self.node_ports[1] + 1)]

    @property
    def name(self) -> str:
        """The name of the control group: the same for every start of a node with this root."""
        return "modelstack-" + hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:10]

    @property
    def keys(self) -> Path:
        """The folder with the certificates and keys."""
        return self.root / "pki"

    @property
    def rendered(self) -> Path:
        """The folder with the configuration files of the services.

        `start` writes it again, unless the node already runs with this configuration.
        """
        return self.root / "etc"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """The folder with the locks and process ids of a running node."""
        return self.root / "run"

    @property
    def kubeconfig(self) -> Path:
        """The path of the administrator's kubeconfig. The default node uses the checkout's own file."""
        return paths.KUBECONFIG if self.root == paths.NODE else self.root / "kubeconfig"


def parse_range(text: str) -> tuple[int, int]:
    """Returns the first and the last port of a range such as `30000-30031`.

    Raises:
        UserError: the text is not a range of ports.
    """
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise UserError("This is not a range of ports.", where="node-ports", found=text, example="30000-30031")
    return int(first), int(last)
