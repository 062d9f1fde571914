from __future__ import annotations

import configparser

import pulumi
import pytest

from components.tracking import Tracking, TrackingArgs, allowed_hosts, auth_config
from tests.harness import Secret, revealed, run
from tests.pods import container_of, environment_of, pod_of

ARGS = {
    "namespace": "tracking",
    "image": "localhost:5000/tracking@sha256:" + "9f" * 32,
    "artifacts": "artifacts",
    "host": "localhost",
    "node_port": 30000,
    "cpu": "100m",
    "memory": "1Gi",
    "workers": 1,
}


def declare(**changes):
    def program():
        urls = {
            "backend": pulumi.Output.secret("postgresql://u:p@postgres/tracking"),
            "accounts": pulumi.Output.secret("postgresql://u:p@postgres/accounts"),
        }
        tracking = Tracking("tracking", TrackingArgs(**(ARGS | urls | changes)))
        pulumi.export("url", tracking.url)
        pulumi.export("internal_url", tracking.internal_url)
        pulumi.export("password", tracking.password)

    return run(program)


def test_people_and_pods_find_the_server():
    outputs = declare().outputs
    assert outputs["url"] == "http://localhost:30000"
    assert outputs["internal_url"] == "http://tracking.tracking.svc:5000"


def test_every_secret_is_kept_and_none_is_in_the_pods_declaration():
    declared = declare()
    assert isinstance(declared.outputs["password"], Secret)
    assert isinstance(declared.one("Secret").inputs["stringData"], Secret)
    pod = str(pod_of(declared.one("Deployment")))
    assert "password of" not in pod, "whoever may list pods must not learn the password"
    assert "postgresql://" not in pod, "the database's password is in its URL"


def test_nobody_gets_in_without_a_password():
    container = container_of(declare().one("Deployment"))
    assert "--app-name=basic-auth" in container["args"]
    assert environment_of(container)["MLFLOW_AUTH_ADMIN_PASSWORD"] == {
        "secretKeyRef": {"name": "tracking", "key": "MLFLOW_AUTH_ADMIN_PASSWORD"}
    }


def test_every_variable_from_the_secret_is_in_it():
    declared = declare()
    there = set(revealed(declared.one("Secret").inputs["stringData"]))
    asked = [value for value in environment_of(container_of(declared.one("Deployment"))).values() if isinstance(value, dict)]
    assert {value["secretKeyRef"]["key"] for value in asked} <= there, "a missing key keeps the pod from starting"


def test_sessions_survive_a_restart():
    data = revealed(declare().one("Secret").inputs["stringData"])
    assert data["MLFLOW_FLASK_SERVER_SECRET_KEY"] == "password of tracking-session-key", "MLflow refuses to start without one"


def test_accounts_are_kept_in_the_database():
    config = configparser.ConfigParser()
    config.read_string(auth_config("postgresql://u:p@postgres/accounts"))
    assert config["mlflow"]["database_uri"] == "postgresql://u:p@postgres/accounts", "MLflow's default is a file in the pod"


def test_artifacts_go_through_the_server_onto_the_share():
    deployment = declare().one("Deployment")
    assert "--serve-artifacts" in container_of(deployment)["args"], "clients have no access to the storage itself"
    assert "--artifacts-destination=/artifacts" in container_of(deployment)["args"]
    assert {"name": "artifacts", "persistentVolumeClaim": {"claimName": "artifacts"}} in pod_of(deployment)["volumes"]


def test_only_its_own_names_are_answered():
    hosts = allowed_hosts("tracking", "tracking", "localhost:30000")
    assert "tracking.tracking.svc:5000" in hosts
    assert "localhost:30000" in hosts
    assert not [host for host in hosts if "*" in host], "a wildcard would let a web page in by a name of its own"
    args = container_of(declare().one("Deployment"))["args"]
    assert f"--allowed-hosts={','.join(hosts)}" in args


def test_two_versions_of_the_server_never_share_the_database():
    assert declare().one("Deployment").inputs["spec"]["strategy"] == {"type": "Recreate"}


def test_the_service_comes_after_the_server():
    service = declare().one("Service")
    assert service.inputs["spec"]["ports"][0]["nodePort"] == 30000
    assert "tracking-server" in service.dependencies, "it is ready with its endpoints and would time out during a long build"


def test_health_is_asked_where_no_password_is_needed():
    container = container_of(declare().one("Deployment"))
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"/health"}


@pytest.mark.parametrize("protect", [True, False])
def test_the_passwords_that_the_database_remembers_can_be_protected(protect):
    assert {password.protect for password in declare(protect=protect).all("RandomPassword")} == {protect}


def test_the_server_reaches_its_own_namespace_only():
    (policy,) = [each.inputs["spec"] for each in declare().all("NetworkPolicy")]
    assert policy["egress"] == [{"to": [{"podSelector": {}}]}], "old servers could be made to fetch from elsewhere"


def test_a_changed_secret_restarts_the_pods():
    def mark(backend):
        pod = declare(backend=backend).one("Deployment").inputs["spec"]["template"]
        return pod["metadata"]["annotations"]["modelstack.dev/secret"]

    assert mark("postgresql://one") == mark("postgresql://one"), "an update without a change must not restart anything"
    assert mark("postgresql://one") != mark("postgresql://other"), "Kubernetes leaves pods alone when their Secret changes"
    assert isinstance(mark("postgresql://one"), str), "a hash of it is no secret and would hide the pods' whole declaration"
