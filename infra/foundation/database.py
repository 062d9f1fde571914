"""Each kind of database. Today there is one: PostgreSQL in the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.image import Image, ImageArgs
from components.postgres import Postgres, PostgresArgs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pulumi import Input, Output, ResourceOptions
    from pulumi_kubernetes.networking.v1 import NetworkPolicyEgressRuleArgsDict

    from components.container_registry import PushTarget
    from components.passwords import Passwords
    from infra.foundation.settings.database import DatabaseInCluster

_DOCKERFILE = "components/images/postgres/Dockerfile"


@dataclass(frozen=True, kw_only=True)
class PostgresInCluster:
    """A PostgreSQL server in the namespace of its clients. Its image is built from this checkout."""

    settings: DatabaseInCluster
    container_registry: PushTarget
    base_image: str
    storage_class: str | None
    passwords: Passwords
    on_cluster: ResourceOptions

    def server(
        self, name: str, *, namespace: Input[str], databases: Sequence[str], clients: Mapping[str, str]
    ) -> ServerInCluster:
        """Declares the image and the server. See `infra.foundation.result.Database.server`."""
        image = Image(name, ImageArgs(registry=self.container_registry, dockerfile=_DOCKERFILE, base=self.base_image))
        args = PostgresArgs(
            namespace=namespace,
            image=image.ref,
            databases=databases,
            clients=clients,
            storage=self.settings.storage,
            storage_class=self.storage_class,
            cpu=self.settings.cpu,
            memory=self.settings.memory,
            protect=self.settings.protect,
            passwords=self.passwords,
        )
        return ServerInCluster(Postgres(name, args, self.on_cluster))


@dataclass(frozen=True)
class ServerInCluster:
    """A server in the namespace of its clients, which they reach without further rules."""

    postgres: Postgres
    egress: Sequence[NetworkPolicyEgressRuleArgsDict] = ()

    def url(self, database: str) -> Output[str]:
        """Returns the SQLAlchemy URL of a database. See `components.postgres.Postgres.url`."""
        return self.postgres.url(database)
