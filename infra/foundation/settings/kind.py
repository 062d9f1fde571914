"""The settings of a cluster that the `kind` command creates in Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from clients import kind
from common.answers import Found
from infra.foundation.settings.own import OwnCluster
from infra.sections.types import PortRange

if TYPE_CHECKING:
    from clients.kubernetes import KubernetesClient
    from common.answers import Answer


class KindCluster(OwnCluster):
    """A cluster in Docker, created by the `kind` command. Requires Docker and internet access."""

    kind: Literal["kind"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["modelstack"])] = "modelstack"
    """The name of the cluster in the output of `kind get clusters`."""
    node_ports: PortRange = PortRange(30000, 30031)
    """The node ports that are reachable on this machine."""

    @property
    def created_name(self) -> str:
        return f"kind:{self.name}"

    def client(self) -> Answer[KubernetesClient]:
        from clients.kubernetes import KubernetesClient  # noqa: PLC0415 slow import; reading a stack file needs no client

        found = kind.kubeconfig(self.name)
        return Found(KubernetesClient.from_kubeconfig(found.value)) if isinstance(found, Found) else found
