"""PostgreSQL: one server with its own volume and any number of databases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import apps, core, networking

from common.labels import FINGERPRINT_ANNOTATION
from components.objects import labels, name_of, selector
from components.passwords import GeneratedPasswords, Passwords
from components.pods import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    claim,
    exec_probe,
    fingerprint,
    resources,
    scratch,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodSpecArgsDict

PORT: Final = 5432
USER: Final = "modelstack"
"""The role that owns the databases. It is not a superuser. The superuser has no password and can only connect to the local
socket of the pod."""
_MEBIBYTES: Final = {"Mi": 1, "Gi": 1024}


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """The size, the databases and the allowed clients of a server."""

    namespace: Input[str]
    image: Input[str]
    databases: Sequence[str]
    clients: Mapping[str, str]
    """The labels of the pods that may connect. The pods must be in the same namespace."""
    storage: str
    cpu: str
    memory: str
    storage_class: str | None = None
    """The storage class of the volume. None: the cluster's default class."""
    protect: bool = False
    """Whether the engine refuses to delete the volume and the password."""
    passwords: Passwords = field(default_factory=GeneratedPasswords)


class Postgres(pulumi.ComponentResource):
    """One PostgreSQL server without replicas. If its node fails, the database is down for minutes, until the pod runs again."""

    host: Output[str]
    """Resolves when the server is ready, so resources that use it are created after that."""
    password: Output[str]

    def __init__(self, name: str, args: PostgresArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:postgres:Postgres", name, None, opts)
        protected = ResourceOptions(parent=self, protect=args.protect)
        self.password = args.passwords.password(f"{name}-password", protected)
        data = {"password": self.password}
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata={"name": name, "namespace": args.namespace, "labels": labels(name)},
            string_data=data,
            opts=ResourceOptions(parent=self),
        )
        volume = core.v1.PersistentVolumeClaim(
            f"{name}-volume",
            metadata={
                "name": name,
                "namespace": args.namespace,
                # With a class that binds on first use, the claim becomes ready only after a pod that uses it is created, and
                # the engine creates that pod after the claim. Waiting for the claim would never end.
                "annotations": {"pulumi.com/skipAwait": "true"},
            },
            spec={
                "access_modes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": args.storage}},
                "storage_class_name": args.storage_class,
            },
            opts=protected,
        )
        service = core.v1.Service(
            f"{name}-service",
            metadata={"name": name, "namespace": args.namespace, "labels": labels(name)},
            spec={"cluster_ip": "None", "selector": selector(name), "ports": [{"name": "postgres", "port": PORT}]},
            opts=ResourceOptions(parent=self),
        )
        server = apps.v1.StatefulSet(
            f"{name}-server",
            metadata={"name": name, "namespace": args.namespace, "labels": labels(name)},
            spec={
                "service_name": name_of(service),
                "replicas": 1,
                "selector": {"match_labels": selector(name)},
                "template": {
                    "metadata": {"labels": labels(name), "annotations": {FINGERPRINT_ANNOTATION: fingerprint(data)}},
                    "spec": _pod(args, volume=name_of(volume), secret=name_of(secret)),
                },
            },
            opts=ResourceOptions(parent=self),
        )
        networking.v1.NetworkPolicy(
            f"{name}-clients",
            metadata={"name": name, "namespace": args.namespace},
            spec={
                "pod_selector": {"match_labels": selector(name)},
                "policy_types": ["Ingress"],
                "ingress": [{"from_": [{"pod_selector": {"match_labels": args.clients}}], "ports": [{"port": PORT}]}],
            },
            opts=ResourceOptions(parent=self),
        )
        self.host = Output.format("{0}.{1}.svc", name_of(server), args.namespace)
        self.register_outputs({"host": self.host, "password": self.password})

    def url(self, database: str) -> Output[str]:
        """Returns the SQLAlchemy URL of a database, as a secret because it contains the password.

        The URL names the driver because SQLAlchemy 2.1 and later have another default driver.
        """
        return Output.format("postgresql+psycopg2://{0}:{1}@{2}:{3}/{4}", USER, self.password, self.host, PORT, database)


def _pod(args: PostgresArgs, *, volume: Input[str], secret: Input[str]) -> PodSpecArgsDict:
    return {
        "automount_service_account_token": False,
        "security_context": POD_SECURITY,
        "termination_grace_period_seconds": 60,
        "containers": [_container(args)],
        "volumes": [
            claim("data", volume),
            {"name": "password", "secret": {"secret_name": secret}},
            scratch("run", "1Mi"),
            scratch("tmp", "64Mi"),
        ],
    }


def _container(args: PostgresArgs) -> ContainerArgsDict:
    # Over TCP, because the socket already answers while the server is still being set up.
    ready = ["pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(PORT)]
    settings = [part for key, value in server_settings(args.memory).items() for part in ("-c", f"{key}={value}")]
    return {
        "name": "postgres",
        "image": args.image,
        "args": settings,
        "env": [
            {"name": "POSTGRES_USER", "value": USER},
            {"name": "POSTGRES_DATABASES", "value": " ".join(args.databases)},
        ],
        "ports": [{"name": "postgres", "container_port": PORT}],
        "resources": resources(cpu=args.cpu, memory=args.memory),
        "security_context": CONTAINER_SECURITY,
        # After a crash the server first replays its log, which can take minutes.
        "startup_probe": exec_probe(ready, period=2, failures=300),
        "readiness_probe": exec_probe(ready, period=5, failures=3),
        "liveness_probe": exec_probe(ready, period=20, failures=6),
        "volume_mounts": [
            {"name": "data", "mount_path": "/var/lib/postgresql"},
            {"name": "password", "mount_path": "/run/secrets/postgres", "read_only": True},
            {"name": "run", "mount_path": "/run/postgresql"},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108 the container's own
        ],
    }


def server_settings(memory: str) -> dict[str, str]:
    """Returns the server's configuration for a memory limit such as `256Mi` or `1Gi`.

    The shared buffers get a quarter of the memory, as the PostgreSQL manual recommends.
    """
    mebibytes = int(memory[:-2]) * _MEBIBYTES[memory[-2:]]
    return {
        "shared_buffers": f"{mebibytes // 4}MB",
        "effective_cache_size": f"{mebibytes // 2}MB",
        "work_mem": "4MB",
        "maintenance_work_mem": f"{mebibytes // 8}MB",
        "max_connections": "60",
        "wal_compression": "on",
        "log_min_duration_statement": "1s",
    }
