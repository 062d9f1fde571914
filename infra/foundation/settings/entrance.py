"""The settings of each kind of entrance, and the rules between an entrance, the ports and the cluster."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from infra.sections.problems import Problem
from infra.sections.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.foundation.settings.clusters import Cluster


class EntranceAtNodePorts(Section):
    """Clients outside the cluster reach the tracking server and each endpoint at a node port of its own, at `cluster.host`."""

    kind: Literal["node-ports"] = "node-ports"

    def problems(self, ports: Mapping[str, int], cluster: Cluster) -> Iterator[Problem]:
        """Yields the problems of node ports with each other and with the cluster.

        Args:
            ports: the node ports of the environment, by their keys in the stack file.
            cluster: the cluster that opens them.
        """
        keys_by_port: dict[int, list[str]] = defaultdict(list)
        for key, port in {**ports, **cluster.own_ports}.items():
            keys_by_port[port].append(key)
        for port, (first, *others) in keys_by_port.items():
            for key in others:
                yield Problem(key, f"is the same port as {first}", port, fix="change one of them")
        for key, port in ports.items():
            if port not in cluster.node_ports:
                widen = f", or widen {cluster.node_ports_key}" if cluster.node_ports_key else ""
                what = "cannot be reached: it is outside the range of the cluster's node ports"
                yield Problem(key, what, port, fix=f"choose one of {cluster.node_ports}{widen}")


Entrance = EntranceAtNodePorts
