"""Each kind of entrance. Today there is one: a node port for each Service."""

from __future__ import annotations

from dataclasses import dataclass

from infra.foundation.result import Address


@dataclass(frozen=True, kw_only=True)
class EntranceAtNodePorts:
    """Clients reach each Service at a port of its own, on a host that forwards it to the nodes."""

    host: str

    def address(self, node_port: int) -> Address:
        """Returns the host and the node port."""
        return Address(host=self.host, node_port=node_port)
