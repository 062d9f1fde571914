from __future__ import annotations

import pulumi
import pytest
from pulumi_kubernetes import core

from components.postgres import Postgres, PostgresArgs, server_settings
from tests.harness import Secret, run
from tests.pods import container_of, environment_of, pod_of

IMAGE = "localhost:5000/postgres@sha256:" + "9f" * 32


ARGS = {
    "namespace": "tracking",
    "image": IMAGE,
    "databases": ["tracking", "accounts"],
    "clients": {"app.kubernetes.io/name": "tracking"},
    "storage": "2Gi",
    "cpu": "100m",
    "memory": "256Mi",
}


def declare(**changes):
    def program():
        postgres = Postgres("postgres", PostgresArgs(**(ARGS | changes)))
        pulumi.export("url", postgres.url("tracking"))
        core.v1.ConfigMap("client", data={"host": postgres.host})

    return run(program)


def test_the_password_is_random_and_a_secret_everywhere():
    declared = declare()
    assert declared.one("Secret").inputs["stringData"] == Secret({"password": "password of postgres-password"})
    assert isinstance(declared.outputs["url"], Secret), "the URL contains the password"
    assert declared.outputs["url"].value == (
        "postgresql+psycopg2://modelstack:password of postgres-password@postgres.tracking.svc:5432/tracking"
    )


def test_the_password_needs_no_quoting_anywhere():
    assert declare().one("RandomPassword").inputs["special"] is False, "a URL, an ini file and SQL contain it"


def test_the_password_reaches_the_server_as_a_file():
    server = declare().one("StatefulSet")
    assert "password" not in " ".join(environment_of(container_of(server))).lower(), "diagnostics show environment variables"
    assert {"name": "password", "secret": {"secretName": "postgres"}} in pod_of(server)["volumes"]


def test_resources_that_use_the_host_depend_on_the_server():
    client = declare().one("ConfigMap", "client")
    assert client.inputs["data"] == {"host": "postgres.tracking.svc"}
    assert "postgres-server" in client.dependencies, "a client that starts before the server would crash"


def test_the_server_gets_one_volume_that_outlives_its_pods():
    declared = declare()
    assert declared.one("PersistentVolumeClaim").inputs["spec"]["accessModes"] == ["ReadWriteOnce"]
    volumes = {volume["name"]: volume for volume in pod_of(declared.one("StatefulSet"))["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "postgres"}


@pytest.mark.parametrize("protect", [True, False])
def test_data_and_password_are_protected_together(protect):
    declared = declare(protect=protect)
    resources = [declared.one("PersistentVolumeClaim"), declared.one("RandomPassword")]
    assert [resource.protect for resource in resources] == [protect, protect], "data without its password is lost"


def test_only_mounted_volumes_are_writable():
    container = container_of(declare().one("StatefulSet"))
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/var/lib/postgresql", "/run/postgresql", "/tmp"}


def test_probes_connect_over_tcp():
    container = container_of(declare().one("StatefulSet"))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = container[probe]["exec"]["command"]
        assert command[0] == "pg_isready"
        assert "127.0.0.1" in command, "the socket already answers during the set-up, before clients can connect"


def test_the_startup_probe_allows_a_long_recovery():
    probe = container_of(declare().one("StatefulSet"))["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 600, "after a crash, the server replays its log for minutes"


def test_only_the_named_clients_may_connect():
    policy = declare().one("NetworkPolicy").inputs["spec"]
    assert policy["ingress"] == [
        {"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "tracking"}}}], "ports": [{"port": 5432}]}
    ]


def test_the_image_gets_the_names_of_the_databases_to_create():
    variables = environment_of(container_of(declare().one("StatefulSet")))
    assert variables["POSTGRES_DATABASES"] == "tracking accounts"


@pytest.mark.parametrize(("memory", "buffers"), [("256Mi", "64MB"), ("1Gi", "256MB"), ("16Gi", "4096MB")])
def test_buffers_grow_with_memory(memory, buffers):
    assert server_settings(memory)["shared_buffers"] == buffers
