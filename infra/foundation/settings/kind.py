"""The settings of a cluster that the `kind` command creates in Docker."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from common.answers import Absent, Found, Unknown
from infra.foundation.settings.own import OwnCluster
from infra.sections.types import PortRange

if TYPE_CHECKING:
    from clients.kubernetes import KubernetesClient
    from common.answers import Answer

_SECONDS: Final = 30.0


class KindCluster(OwnCluster):
    """A cluster in Docker, created by the `kind` command. Requires Docker and internet access."""

    kind: Literal["kind"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["modelstack"])] = "modelstack"
    """The name of the cluster in the output of `kind get clusters`."""
    node_ports: PortRange = PortRange(30000, 30031)
    """The node ports that are reachable on this machine."""

    def client(self) -> Answer[KubernetesClient]:
        from clients.kubernetes import KubernetesClient  # noqa: PLC0415 slow import; reading a stack file needs no client

        where = f"kind cluster {self.name}"
        try:
            if self.name not in _kind("get", "clusters").split():
                return Absent()
            return Found(KubernetesClient.from_kubeconfig(_kind("get", "kubeconfig", "--name", self.name)))
        except FileNotFoundError:
            return Unknown(where=where, reason="the command `kind` is not installed")
        except subprocess.TimeoutExpired:
            return Unknown(where=where, reason=f"`kind` does not answer within {_SECONDS:g} s")
        except subprocess.CalledProcessError as error:
            return Unknown(where=where, reason=str(error.stderr).strip() or f"`kind` failed with exit code {error.returncode}")


def _kind(*arguments: str) -> str:
    done = subprocess.run(["kind", *arguments], check=True, capture_output=True, text=True, timeout=_SECONDS)
    return done.stdout
