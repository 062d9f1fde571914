from __future__ import annotations

import configparser

import pulumi
import pytest

from components.identity import PodIdentity
from components.tracking import ArtifactStore, Tracking, TrackingArgs, allowed_hosts, auth_config
from tests.harness import Secret, revealed, run
from tests.pods import container_of, environment_of, pod_of

ARGS = {
    "namespace": "tracking",
    "image": "localhost:5000/tracking@sha256:" + "9f" * 32,
    "artifacts": ArtifactStore(destination="/artifacts", claim="artifacts"),
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


def test_the_server_has_a_url_for_people_and_one_for_pods():
    outputs = declare().outputs
    assert outputs["url"] == "http://localhost:30000"
    assert outputs["internal_url"] == "http://tracking.tracking.svc:5000"


def test_passwords_are_in_a_secret_and_not_in_the_pod_spec():
    declared = declare()
    assert isinstance(declared.outputs["password"], Secret)
    assert isinstance(declared.one("Secret").inputs["stringData"], Secret)
    pod = str(pod_of(declared.one("Deployment")))
    assert "password of" not in pod, "a user that may list pods must not see the password"
    assert "postgresql://" not in pod, "the URL contains the database's password"


def test_the_server_requires_a_password():
    container = container_of(declare().one("Deployment"))
    assert "--app-name=basic-auth" in container["args"]
    assert environment_of(container)["MLFLOW_AUTH_ADMIN_PASSWORD"] == {
        "secretKeyRef": {"name": "tracking", "key": "MLFLOW_AUTH_ADMIN_PASSWORD"}
    }


def test_the_secret_contains_all_keys_that_the_pod_uses():
    declared = declare()
    keys = set(revealed(declared.one("Secret").inputs["stringData"]))
    used = [value for value in environment_of(container_of(declared.one("Deployment"))).values() if isinstance(value, dict)]
    assert {value["secretKeyRef"]["key"] for value in used} <= keys, "a pod with a missing key does not start"


def test_sessions_survive_a_restart():
    data = revealed(declare().one("Secret").inputs["stringData"])
    assert data["MLFLOW_FLASK_SERVER_SECRET_KEY"] == "password of tracking-session-key", "MLflow refuses to start without one"


def test_accounts_are_stored_in_the_database():
    config = configparser.ConfigParser()
    config.read_string(auth_config("postgresql://u:p@postgres/accounts"))
    assert config["mlflow"]["database_uri"] == "postgresql://u:p@postgres/accounts", "MLflow's default is a file in the pod"


def test_the_server_stores_artifacts_on_the_share():
    deployment = declare().one("Deployment")
    assert "--serve-artifacts" in container_of(deployment)["args"], "clients have no access to the storage itself"
    assert "--artifacts-destination=/artifacts" in container_of(deployment)["args"]
    assert {"name": "artifacts", "persistentVolumeClaim": {"claimName": "artifacts"}} in pod_of(deployment)["volumes"]


def test_the_server_accepts_only_its_own_host_names():
    hosts = allowed_hosts("tracking", "tracking", "localhost:30000")
    assert "tracking.tracking.svc:5000" in hosts
    assert "localhost:30000" in hosts
    assert not [host for host in hosts if "*" in host], "a wildcard would allow DNS rebinding"
    args = container_of(declare().one("Deployment"))["args"]
    assert f"--allowed-hosts={','.join(hosts)}" in args


def test_two_versions_of_the_server_never_run_at_the_same_time():
    assert declare().one("Deployment").inputs["spec"]["strategy"] == {"type": "Recreate"}


def test_the_service_depends_on_the_server():
    service = declare().one("Service")
    assert service.inputs["spec"]["ports"][0]["nodePort"] == 30000
    assert "tracking-server" in service.dependencies, "the engine waits for endpoints and would time out during a long build"


def test_probes_use_a_path_that_needs_no_password():
    container = container_of(declare().one("Deployment"))
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"/health"}


@pytest.mark.parametrize("protect", [True, False])
def test_the_passwords_can_be_protected(protect):
    assert {password.protect for password in declare(protect=protect).all("RandomPassword")} == {protect}


def test_the_server_reaches_its_own_namespace_only():
    (policy,) = [each.inputs["spec"] for each in declare().all("NetworkPolicy")]
    assert policy["egress"] == [{"to": [{"podSelector": {}}]}], (
        "vulnerable versions of the server could be made to send requests elsewhere"
    )


def test_a_changed_secret_restarts_the_pods():
    def annotation(backend):
        pod = declare(backend=backend).one("Deployment").inputs["spec"]["template"]
        return pod["metadata"]["annotations"]["modelstack.dev/secret"]

    assert annotation("postgresql://one") == annotation("postgresql://one"), "an update without changes must restart no pod"
    assert annotation("postgresql://one") != annotation("postgresql://other"), "a changed Secret alone restarts no pod"
    assert isinstance(annotation("postgresql://one"), str), "as a secret, it would hide the whole pod spec in previews"


def test_artifacts_on_a_volume_are_mounted_where_the_server_looks_for_them():
    server = declare(artifacts=ArtifactStore(destination="/store", claim="models")).one("Deployment")
    assert "--artifacts-destination=/store" in container_of(server)["args"]
    assert {"name": "artifacts", "mountPath": "/store"} in container_of(server)["volumeMounts"]
    assert {"name": "artifacts", "persistentVolumeClaim": {"claimName": "models"}} in pod_of(server)["volumes"]


def test_artifacts_in_a_bucket_need_no_volume_but_a_way_out():
    rule = {"to": [{"ip_block": {"cidr": "10.0.0.4/32"}}], "ports": [{"port": 443}]}
    declared = declare(artifacts=ArtifactStore(destination="wasbs://artifacts@account", egress=[rule]))
    server = declared.one("Deployment")
    assert "--artifacts-destination=wasbs://artifacts@account" in container_of(server)["args"]
    assert "artifacts" not in {each["name"] for each in pod_of(server)["volumes"]}
    assert "artifacts" not in {each["name"] for each in container_of(server)["volumeMounts"]}
    egress = declared.one("NetworkPolicy").inputs["spec"]["egress"]
    assert {"to": [{"ipBlock": {"cidr": "10.0.0.4/32"}}], "ports": [{"port": 443}]} in egress, "all other traffic is denied"


def test_a_server_without_an_identity_outside_the_cluster_has_no_account():
    declared = declare()
    assert not declared.all("ServiceAccount")
    assert "serviceAccountName" not in pod_of(declared.one("Deployment"))


def test_a_server_with_an_identity_runs_under_an_account_of_it():
    identity = PodIdentity(account_annotations={"cloud/client-id": "1"}, pod_labels={"cloud/use": "true"})
    declared = declare(identity=identity)
    assert declared.one("ServiceAccount").inputs["metadata"]["annotations"] == {"cloud/client-id": "1"}
    server = declared.one("Deployment")
    assert pod_of(server)["serviceAccountName"] == "tracking"
    assert server.inputs["spec"]["template"]["metadata"]["labels"]["cloud/use"] == "true"
    assert "cloud/use" not in server.inputs["spec"]["selector"]["matchLabels"], "Kubernetes refuses to change a selector"
