from __future__ import annotations

import pulumi

from components.training import Training, TrainingArgs, TrainingJob
from tests.harness import Secret, run
from tests.pods import container_of, environment_of, pod_of

DIGEST = "sha256:" + "9f" * 32
JOB = TrainingJob(cron_job="markdown-training", cpu="500m", memory="3Gi", cpu_limit="2", deadline_seconds=1800, scratch="2Gi")


def program():
    training = Training(
        "training",
        TrainingArgs(
            namespace="training",
            image=f"localhost:5000/training@{DIGEST}",
            tracking_url="http://tracking.tracking.svc:5000",
            tracking_username="admin",
            tracking_password=pulumi.Output.secret("p"),
            tracking_namespace="tracking",
            data="data",
            jobs={"markdown": JOB},
            retention_seconds=3600,
        ),
    )
    pulumi.export("cron_jobs", training.cron_jobs)


def test_an_update_starts_no_training_run():
    spec = run(program).one("CronJob").inputs["spec"]
    assert spec["suspend"] is True, "only a person or a command starts a training run"
    assert spec["concurrencyPolicy"] == "Forbid"


def test_a_failed_run_is_not_repeated():
    job = run(program).one("CronJob").inputs["spec"]["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0, "it may have registered a model already"
    assert pod_of(run(program).one("CronJob"))["restartPolicy"] == "Never"


def test_a_run_has_a_deadline_and_is_deleted_after_it_has_finished():
    job = run(program).one("CronJob").inputs["spec"]["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] == 1800, "a hanging run would occupy its memory forever"
    assert job["ttlSecondsAfterFinished"] == 3600


def test_a_run_gets_its_workload_and_the_tracking_server():
    container = container_of(run(program).one("CronJob"))
    assert container["command"] == ["python", "-m", "workloads.run", "markdown"]
    variables = environment_of(container)
    assert variables["MLFLOW_TRACKING_URI"] == "http://tracking.tracking.svc:5000"
    assert variables["MODELSTACK_DATA"] == "/data"
    assert variables["MODELSTACK_IMAGE"] == DIGEST, "the run records the digest of its image"


def test_the_password_is_in_a_secret_and_not_in_the_pod_spec():
    declared = run(program)
    assert declared.one("Secret").inputs["stringData"] == Secret(
        {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "p"}
    )
    assert container_of(declared.one("CronJob"))["envFrom"] == [{"secretRef": {"name": "tracking-access"}}]


def test_a_run_has_no_access_to_the_cluster():
    declared = run(program)
    assert not declared.all("RoleBinding") + declared.all("ClusterRoleBinding"), (
        "training code does not need the Kubernetes API"
    )
    assert declared.one("ServiceAccount").inputs["automountServiceAccountToken"] is False
    assert pod_of(declared.one("CronJob"))["automountServiceAccountToken"] is False


def test_a_run_reaches_only_the_tracking_server():
    policy = run(program).one("NetworkPolicy").inputs["spec"]
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "tracking"}}
    assert policy["egress"] == [{"to": [{"namespaceSelector": namespace}]}]


def test_the_outputs_contain_the_cron_job_of_each_workload():
    assert run(program).outputs["cron_jobs"] == {"markdown": "markdown-training"}
