"""The MLflow tracking server with experiments, model registry and artifacts. Access requires a password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import apps, core, networking

from common.labels import FINGERPRINT_ANNOTATION
from components.identity import PodIdentity
from components.objects import labels, name_of, selector
from components.passwords import GeneratedPasswords, Passwords
from components.pods import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    claim,
    fingerprint,
    http_probe,
    resources,
    scratch,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulumi_kubernetes.core.v1 import (
        ContainerArgsDict,
        EnvVarArgsDict,
        KeyToPathArgsDict,
        PodSpecArgsDict,
        VolumeMountArgsDict,
    )
    from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
    from pulumi_kubernetes.networking.v1 import NetworkPolicyEgressRuleArgsDict

PORT: Final = 5000
USERNAME: Final = "admin"
_AUTH_FILE: Final = "basic_auth.ini"
_AUTH_ITEM: Final[KeyToPathArgsDict] = {"key": _AUTH_FILE, "path": _AUTH_FILE}
_SECRET_VARIABLES: Final = ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")


@dataclass(frozen=True, kw_only=True)
class ArtifactStore:
    """The place where the server stores artifacts. Clients upload and download them through the server."""

    destination: Input[str]
    """A path in the server's container, or the URL of a bucket, as MLflow's option `--artifacts-destination` accepts it."""
    claim: Input[str] | None = None
    """The volume claim that is mounted at `destination`. None: the artifacts are not on a volume."""
    egress: Sequence[NetworkPolicyEgressRuleArgsDict] = ()
    """The traffic that the server needs to reach the store, if the store is outside its namespace."""


@dataclass(frozen=True, kw_only=True)
class TrackingArgs:
    """The stores, the address and the size of a tracking server."""

    namespace: Input[str]
    image: Input[str]
    backend: Input[str]
    """The SQLAlchemy URL of the database for runs and models."""
    accounts: Input[str]
    """The SQLAlchemy URL of the database for users and permissions."""
    artifacts: ArtifactStore
    host: str
    """The host name or address at which clients outside the cluster reach the node port."""
    node_port: int
    cpu: str
    memory: str
    workers: int
    protect: bool = False
    """Whether the engine refuses to delete the server's passwords. The database remembers them."""
    passwords: Passwords = field(default_factory=GeneratedPasswords)
    egress: Sequence[NetworkPolicyEgressRuleArgsDict] = ()
    """The traffic that the server needs to reach its database, if the database is outside its namespace."""
    identity: PodIdentity = field(default_factory=PodIdentity)
    """The identity under which the server uses its artifact store and its database, if they are outside the cluster."""


class Tracking(pulumi.ComponentResource):
    """One MLflow server, its Service and the administrator's account."""

    url: Output[str]
    """The URL for clients outside the cluster."""
    internal_url: Output[str]
    """The URL for clients inside the cluster."""
    namespace: Output[str]
    username: Output[str]
    password: Output[str]

    def __init__(self, name: str, args: TrackingArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:tracking:Tracking", name, None, opts)
        protected = ResourceOptions(parent=self, protect=args.protect)
        password = args.passwords.password(f"{name}-password", protected)
        session_key = args.passwords.password(f"{name}-session-key", protected)
        data = {
            "MLFLOW_BACKEND_STORE_URI": Output.from_input(args.backend),
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": session_key,
            _AUTH_FILE: Output.from_input(args.accounts).apply(auth_config),
        }
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata={"name": name, "namespace": args.namespace, "labels": labels(name)},
            string_data=data,
            opts=ResourceOptions(parent=self),
        )
        server = apps.v1.Deployment(
            f"{name}-server",
            metadata={"name": name, "namespace": args.namespace, "labels": labels(name)},
            spec={
                "replicas": 1,
                # The old server stops before the new one starts, because a new version of MLflow migrates the database.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": selector(name)},
                "template": {
                    "metadata": {
                        "labels": {**labels(name), **args.identity.pod_labels},
                        "annotations": {FINGERPRINT_ANNOTATION: fingerprint(data)},
                    },
                    "spec": _pod(name, args, secret=name_of(secret), account=self._account(name, args)),
                },
            },
            opts=ResourceOptions(parent=self),
        )
        service = core.v1.Service(
            f"{name}-service",
            metadata={"name": name, "namespace": args.namespace, "labels": labels(name)},
            spec={
                "type": "NodePort",
                "selector": selector(name),
                "ports": [{"name": "http", "port": PORT, "target_port": "http", "node_port": args.node_port}],
            },
            # The engine waits until the Service has endpoints. If the Service were created before the Deployment, that wait
            # could time out while the image is being built.
            opts=ResourceOptions(parent=self, depends_on=[server]),
        )
        networking.v1.NetworkPolicy(
            f"{name}-traffic",
            metadata={"name": name, "namespace": args.namespace},
            spec={
                "pod_selector": {"match_labels": selector(name)},
                "policy_types": ["Ingress", "Egress"],
                "ingress": [{"ports": [{"port": "http"}]}],
                "egress": [{"to": [{"pod_selector": {}}]}, *args.egress, *args.artifacts.egress],
            },
            opts=ResourceOptions(parent=self),
        )
        self.url = name_of(service).apply(lambda _: f"http://{args.host}:{args.node_port}")
        self.internal_url = Output.format("http://{0}.{1}.svc:{2}", name_of(service), args.namespace, PORT)
        self.namespace = Output.from_input(args.namespace)
        self.username, self.password = Output.from_input(USERNAME), password
        self.register_outputs({"url": self.url, "internal_url": self.internal_url, "password": self.password})

    def _account(self, name: str, args: TrackingArgs) -> Output[str] | None:
        """Returns the service account of the server's identity. None: the server has no identity outside the cluster."""
        if not args.identity.account_annotations:
            return None
        metadata: ObjectMetaArgsDict = {
            "name": name,
            "namespace": args.namespace,
            "labels": labels(name),
            "annotations": args.identity.account_annotations,
        }
        opts = ResourceOptions(parent=self)
        account = core.v1.ServiceAccount(f"{name}-account", metadata=metadata, automount_service_account_token=False, opts=opts)
        return name_of(account)


def auth_config(database_url: str) -> str:
    """Returns MLflow's authentication file. It omits the password and the session key, which are environment variables."""
    return "\n".join(
        [
            "[mlflow]",
            f"database_uri = {database_url}",
            f"admin_username = {USERNAME}",
            "default_permission = READ",
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
            "auth_cache_ttl_seconds = 60",  # hashing a password takes tens of milliseconds, a run sends hundreds of requests
            "",
        ]
    )


def allowed_hosts(name: str, namespace: str, outside: str) -> list[str]:
    """Returns the Host headers that MLflow accepts. It rejects all others, as a defence against DNS rebinding by web pages.

    Args:
        name: the name of the Service.
        namespace: the namespace of the Service.
        outside: the host and port at which clients outside the cluster reach the Service.
    """
    inside = (name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local")
    return [*(f"{host}:{PORT}" for host in inside), outside]


def _from_secret(variable: str, secret: Output[str]) -> EnvVarArgsDict:
    return {"name": variable, "value_from": {"secret_key_ref": {"name": secret, "key": variable}}}


def _pod(name: str, args: TrackingArgs, *, secret: Output[str], account: Output[str] | None) -> PodSpecArgsDict:
    store = args.artifacts
    pod: PodSpecArgsDict = {
        "automount_service_account_token": False,
        "enable_service_links": False,  # else a Service named `tracking` sets TRACKING_PORT and others
        "security_context": POD_SECURITY,
        "containers": [_container(name, args, secret)],
        "volumes": [
            *([] if store.claim is None else [claim("artifacts", store.claim)]),
            {"name": "auth", "secret": {"secret_name": secret, "items": [_AUTH_ITEM]}},
            scratch("tmp", "1Gi"),
        ],
    }
    return pod if account is None else {**pod, "service_account_name": account}


def _container(name: str, args: TrackingArgs, secret: Output[str]) -> ContainerArgsDict:
    store = args.artifacts
    artifacts_mount: VolumeMountArgsDict = {"name": "artifacts", "mount_path": store.destination}
    outside = f"{args.host}:{args.node_port}"
    hosts = Output.from_input(args.namespace).apply(lambda namespace: ",".join(allowed_hosts(name, namespace, outside)))
    return {
        "name": "mlflow",
        "image": args.image,
        "args": [
            "server",
            "--host=0.0.0.0",
            f"--port={PORT}",
            f"--workers={args.workers}",
            "--app-name=basic-auth",
            "--serve-artifacts",
            Output.concat("--artifacts-destination=", store.destination),
            Output.concat("--allowed-hosts=", hosts),
            f"--cors-allowed-origins=http://{outside}",
        ],
        "env": [
            {"name": "MLFLOW_AUTH_CONFIG_PATH", "value": f"/etc/mlflow/{_AUTH_FILE}"},
            {"name": "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "value": "false"},  # jobs of agents: unused here, and need 300 MB
            {"name": "MLFLOW_DISABLE_TELEMETRY", "value": "true"},
            *(_from_secret(variable, secret) for variable in _SECRET_VARIABLES),
        ],
        "ports": [{"name": "http", "container_port": PORT}],
        "resources": resources(cpu=args.cpu, memory=args.memory),
        "security_context": CONTAINER_SECURITY,
        # On a slow machine, MLflow needs a minute to create or migrate the database.
        "startup_probe": http_probe("/health", "http", period=3, failures=100),
        "readiness_probe": http_probe("/health", "http", period=5, failures=3),
        "liveness_probe": http_probe("/health", "http", period=20, failures=6),
        "volume_mounts": [
            *([] if store.claim is None else [artifacts_mount]),
            {"name": "auth", "mount_path": "/etc/mlflow", "read_only": True},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108 a volume of this pod
        ],
    }
