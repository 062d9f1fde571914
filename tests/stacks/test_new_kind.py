"""A kind of cluster is one settings class and one function: the platform, the outputs and the commands need nothing else.

The kind of these tests starts a cluster, a database, an object store and a reverse proxy with `docker compose`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import pytest
from pulumi import Input, Output, ResourceOptions
from pulumi_command import local
from pulumi_kubernetes import Provider
from pydantic import BeforeValidator, Field

from clients.kubernetes import KubernetesClient
from common.answers import Absent
from common.errors import UserError
from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from components.file_share import FileShare, FileShareArgs
from components.identity import PodIdentity
from components.tracking import ArtifactStore
from delivery.environments import embedded_node
from delivery.machine import preflight
from infra import live_cluster
from infra.foundation import create
from infra.foundation.result import Address, Foundation
from infra.foundation.settings.cluster import ClusterSettings
from infra.foundation.settings.database import DatabaseInCluster
from infra.foundation.settings.embedded import EmbeddedCluster
from infra.foundation.settings.existing import ExistingCluster
from infra.foundation.settings.kind import KindCluster
from infra.sections.section import Section
from infra.sections.types import PortRange
from infra.settings import loading, model
from tests.harness import Secret, revealed
from tests.pods import container_of, pod_of
from tests.releases import run_released

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infra.foundation.settings.foundation import FoundationSettings

ADDRESS = "172.20.0.10"
OUTSIDE = [{"to": [{"ip_block": {"cidr": f"{ADDRESS}/32"}}]}]
IDENTITY = PodIdentity(account_annotations={"compose/user": "tracking"}, pod_labels={"compose/identity": "used"})


class ComposeCluster(ClusterSettings):
    """The settings class of the kind."""

    kind: Literal["compose"]
    file: str = "compose.yaml"
    host: str = "localhost"
    node_ports: PortRange = PortRange(30000, 30099)

    @property
    def namespace_prefix(self) -> str:
        return ""

    @property
    def context(self) -> str:
        return ""

    @property
    def owns_container_registry(self) -> bool:
        return True

    def client(self):
        return Absent()

    def connect(self, kubeconfig: Callable[[], str]) -> KubernetesClient:
        return KubernetesClient.from_kubeconfig(kubeconfig())


def foundation(own: ComposeCluster, settings: FoundationSettings) -> Foundation:
    """The function of the kind."""
    services = local.Command("compose", create=f"docker compose -f {own.file} up --wait", delete="docker compose down -v")
    provider = Provider("compose-provider", kubeconfig=services.stdout)
    registry = ContainerRegistryArgs(address=settings.images.registry, served_by=[services])
    return Foundation(
        cluster=ComposedCluster(provider, Output.secret(services.stdout)),
        container_registry=ContainerRegistry("registry", registry),
        database=ComposedDatabase(),
        artifacts=Bucket(),
        shares=Shares(ResourceOptions(providers=[provider])),
        entrance=Proxy(),
        identity=Users(),
        secrets=Vault(),
    )


@dataclass(frozen=True)
class ComposedCluster:
    provider: Provider
    kubeconfig: Output[str]


class ComposedDatabase:
    egress = OUTSIDE

    def server(self, name: str, *, namespace: Input[str], databases: Sequence[str], clients: Mapping[str, str]):
        return self

    def url(self, database: str) -> Output[str]:
        return Output.secret(f"postgresql+psycopg2://u:p@{ADDRESS}/{database}")


class Bucket:
    def store(self, name: str, *, namespace: Input[str], size: str, protect: bool) -> ArtifactStore:
        return ArtifactStore(destination="s3://artifacts", egress=[{"to": [{"ip_block": {"cidr": "172.20.0.11/32"}}]}])


@dataclass(frozen=True)
class Shares:
    on_cluster: ResourceOptions

    def claim(self, name: str, *, namespace: Input[str], size: str) -> Output[str]:
        args = FileShareArgs(namespace=namespace, size=size, storage_class="nfs")
        return FileShare(name, args, self.on_cluster).claim


class Proxy:
    def address(self, node_port: int) -> Address:
        return Address(host="proxy.example", node_port=node_port)


class Users:
    def for_pods(self, account: str, *, namespace: Input[str]) -> PodIdentity:
        return IDENTITY


class Vault:
    def password(self, name: str, opts: ResourceOptions) -> Output[str]:
        return Output.secret(f"{name} in the vault")


class WithCompose(model.Settings):
    cluster: Annotated[ComposeCluster | EmbeddedCluster | KindCluster | ExistingCluster, Field(discriminator="kind")]


@pytest.fixture
def added(monkeypatch):
    """The two lines that add a kind to this repository: one in the union, and one in the table of functions."""
    monkeypatch.setattr(loading, "Settings", WithCompose)
    monkeypatch.setitem(create.KINDS, ComposeCluster, foundation)


def declare(kind="compose"):
    return run_released("dev", replaced={"cluster": {"kind": kind}})


def test_the_platform_is_the_same_on_a_new_kind_but_for_its_foundation(added):
    embedded, compose = ({(each.type, each.name) for each in declare(kind).resources} for kind in ("embedded", "compose"))
    gone = {name for _, name in embedded - compose}
    assert gone == {
        *("cluster", "cluster-node", "cluster-provider"),
        *("postgres", "postgres-image", "postgres-password", "postgres-secret", "postgres-volume", "postgres-service"),
        *("postgres-server", "postgres-clients", "artifacts", "artifacts-claim"),
        *("tracking-password", "tracking-session-key"),
    }, "the kind brings a cluster, a database, an artifact store and passwords of its own"
    new = {name for _, name in compose - embedded}
    assert new == {"compose", "compose-provider", "tracking-account"}, "all else of the platform is as before"


def test_every_object_is_in_the_cluster_of_the_new_kind(added):
    providers = {each.provider for each in declare().resources if each.type.startswith("kubernetes:")}
    assert providers == {"compose-provider"}


def test_images_wait_for_the_services_of_the_new_kind(added):
    images = [each for each in declare().resources if each.type == "docker:index/image:Image"]
    assert images, "the platform builds images"
    assert all("compose" in each.dependencies for each in images), "the kind's container registry has to be up"


def test_the_tracking_server_uses_what_the_foundation_gives(added):
    declared = declare()
    server = declared.one("Deployment", "tracking-server")
    assert "--artifacts-destination=s3://artifacts" in container_of(server)["args"]
    assert "artifacts" not in {each["name"] for each in pod_of(server)["volumes"]}, "a bucket is not mounted"
    secret = revealed(declared.one("Secret", "tracking-secret").inputs["stringData"])
    assert secret["MLFLOW_BACKEND_STORE_URI"] == f"postgresql+psycopg2://u:p@{ADDRESS}/tracking"
    assert secret["MLFLOW_AUTH_ADMIN_PASSWORD"] == "tracking-password in the vault"
    egress = declared.one("NetworkPolicy", "tracking-traffic").inputs["spec"]["egress"]
    reached = [peer["ipBlock"]["cidr"] for rule in egress for peer in rule["to"] if "ipBlock" in peer]
    assert reached == [f"{ADDRESS}/32", "172.20.0.11/32"], "the database and the artifacts are outside the cluster"


def test_pods_get_the_identity_of_the_foundation(added):
    declared = declare()
    for name in ("tracking-account", "training-account"):
        assert declared.one("ServiceAccount", name).inputs["metadata"]["annotations"] == IDENTITY.account_annotations
    server = declared.one("Deployment", "tracking-server")
    assert pod_of(server)["serviceAccountName"] == "tracking"
    job = declared.one("CronJob", "training-markdown").inputs["spec"]["jobTemplate"]["spec"]["template"]
    for template in (server.inputs["spec"]["template"], job):
        assert template["metadata"]["labels"]["compose/identity"] == "used", "the cluster finds the pods by this label"


def test_the_outputs_name_the_addresses_of_the_foundation(added):
    outputs = declare().outputs
    assert outputs["kubeconfig"] == Secret("stdout of compose")
    assert revealed(outputs["tracking"])["url"] == "http://proxy.example:30000"
    assert {each["url"] for each in revealed(outputs["endpoints"]).values()} == {"http://proxy.example:30001"}


def parsed(**cluster):
    concerns = {
        "cluster": {"kind": "compose", **cluster},
        "images": {"registry": "localhost:5000"},
        "workloads": {"markdown": {"nodePort": 30001}},
    }
    return loading.parse(concerns, "Pulumi.test.yaml")


def test_commands_ask_the_new_kind_and_need_not_know_it(added):
    settings = parsed()
    assert embedded_node.config_of(settings) is None, "there is no node that a command would start"
    assert preflight.ports_of(settings) == {}
    assert live_cluster.client(settings.cluster) == Absent()
    assert live_cluster.read(settings).uid == Absent()


def test_the_rules_between_settings_hold_for_the_new_kind(added):
    with pytest.raises(UserError, match=r"workloads\.markdown\.nodePort cannot be reached"):
        parsed(nodePorts="30002-30003")


def test_a_new_kind_is_named_where_an_unknown_one_is_refused(added):
    with pytest.raises(UserError, match="compose") as refused:
        loading.parse({"cluster": {"kind": "podman"}, "images": {"registry": "r"}}, "Pulumi.test.yaml")
    assert "embedded, existing, kind" in str(refused.value)


class FlexibleServer(Section):
    kind: Literal["flexible-server"]
    sku: str


def _default_kind(value: object) -> object:
    return {"kind": "in-cluster"} | value if isinstance(value, dict) else value


class WithTwoDatabases(model.Settings):
    database: Annotated[DatabaseInCluster | FlexibleServer, Field(discriminator="kind"), BeforeValidator(_default_kind)] = (
        DatabaseInCluster()
    )


def test_a_second_kind_of_database_leaves_stack_files_without_a_kind_valid(monkeypatch):
    monkeypatch.setattr(loading, "Settings", WithTwoDatabases)
    base = {"cluster": {"kind": "existing", "context": "c", "host": "c.example"}, "images": {"registry": "r"}}
    assert loading.parse({**base, "database": {"memory": "1Gi"}}, "f").database == DatabaseInCluster(memory="1Gi")
    assert loading.parse(base, "f").database == DatabaseInCluster()
    chosen = loading.parse({**base, "database": {"kind": "flexible-server", "sku": "B1ms"}}, "f")
    assert chosen.database == FlexibleServer(kind="flexible-server", sku="B1ms")
    with pytest.raises(UserError, match=r"database\.sku is missing"):
        loading.parse({**base, "database": {"kind": "flexible-server"}}, "f")
