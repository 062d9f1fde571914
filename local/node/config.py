"""What a node is told, and what follows from it: addresses, folders, the name of its control group."""

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
"""On the loopback interface of the node's network namespace: the same whatever network the machine is in."""
RESOLVER: Final = "10.89.0.53"
"""Answered by the uplink with the machine's own resolver."""
POD_RANGE: Final = "10.88.0.0/16"
SERVICE_RANGE: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
DNS_SERVICE: Final = "10.96.0.10"
DOMAIN: Final = "cluster.local"
INSIDE: Final = "/node"
"""Where `root` is found inside the node's mount namespace."""

_LOWEST_PORT, _HIGHEST_PORT = 1, 65535


@dataclass(frozen=True)
class NodeConfig:
    """One node: its data, and the ports it takes on the machine's loopback interface.

    Args:
        root: holds everything the node keeps. Nodes with different roots and ports run side by side.
        api_port: of the API server.
        registry_port: of the image registry, inside the node too.
        node_ports: first and last port for Services of type NodePort.
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
                raise UserError("This is not a port.", where=name, found=port, example="6443")
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
                "Two services of the node are given the same port.", where="ports", found=twice[0], fix="choose others"
            )

    def ports(self) -> list[int]:
        """All ports the node takes on 127.0.0.1."""
        return [self.api_port, self.registry_port, *range(self.node_ports[0], self.node_ports[1] + 1)]

    @property
    def name(self) -> str:
        """Of the control group, the same for every start of this root."""
        return "modelstack-" + hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:10]

    @property
    def keys(self) -> Path:
        """Certificates and keys."""
        return self.root / "pki"

    @property
    def rendered(self) -> Path:
        """Configuration files of the services, written anew at each start."""
        return self.root / "etc"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What a running node tells: locks and process ids."""
        return self.root / "run"

    @property
    def kubeconfig(self) -> Path:
        """Where administrators find their access: the environment's own file for its own node."""
        return paths.KUBECONFIG if self.root == paths.NODE else self.root / "kubeconfig"


def parse_range(text: str) -> tuple[int, int]:
    """`30000-30031` as first and last port.

    Raises:
        UserError: it is something else.
    """
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise UserError("This is not a range of ports.", where="node-ports", found=text, example="30000-30031")
    return int(first), int(last)
