"""Training runs: created from a CronJob, followed to their end, found again after an interruption."""

import io
import json

import pytest

from clients.kubernetes import ApiError
from common.errors import UserError
from delivery.console.progress import PlainSink, Reporter
from delivery.training.log import BackTestResult
from tests.unit.delivery.training.training_clusters import CRON_JOB, GOOD_RUN, FakeCluster, FakeMlflow, runs_in, train
from workloads.training_run import is_id


def test_a_run_shows_its_steps_and_returns_the_registered_version(tmp_path):
    registered, shown = train(FakeCluster(GOOD_RUN), tmp_path)
    assert (registered.version, registered.run) == (3, "abc")
    assert "training markdown > source (1 of 2) done" in shown
    assert "version 3, wape 0.400" in shown


def test_the_job_is_created_from_the_cron_job_with_the_run_s_id_and_the_trainer(tmp_path):
    cluster, mlflow = FakeCluster(GOOD_RUN), FakeMlflow()
    train(cluster, tmp_path, mlflow=mlflow)
    ((name, job),) = cluster.jobs.items()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = container["env"]
    assert container["command"] == ["python", "-m", "workloads.run", "markdown", "--run", name]
    assert job["metadata"]["labels"] == {"app": "markdown", "modelstack.dev/run-id": name}
    assert mlflow.asked == [("markdown", name)]
    assert is_id(name)
    assert {"name": "MODELSTACK_TRAINER", "value": "t@example.com"} in env, "a trainer may not approve"
    assert {"name": "MODELSTACK_DATA", "value": "/data"} in env
    assert job["metadata"]["ownerReferences"][0]["uid"] == "u1", "Kubernetes deletes the Jobs together with the CronJob"
    assert "MODELSTACK_REVISION" not in json.dumps(job), "the revision is that of the code in the image, not of this checkout"
    assert "MODELSTACK_TRAINER" not in json.dumps(CRON_JOB), "the CronJob object is not changed"


def test_two_runs_in_the_same_second_have_different_jobs(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    for _ in range(2):
        train(cluster, tmp_path)
    assert len(cluster.jobs) == 2


def test_an_environment_with_an_older_training_image_is_refused_before_a_job_is_created(tmp_path, monkeypatch):
    monkeypatch.delitem(CRON_JOB["spec"]["jobTemplate"]["metadata"], "annotations")
    cluster = FakeCluster(GOOD_RUN)
    with pytest.raises(UserError, match=r"(?s)older than this command.*pulumi up"):
        train(cluster, tmp_path)
    assert cluster.jobs == {}


def test_the_registered_version_is_known_although_the_log_is_lost(tmp_path):
    assert train(FakeCluster([]), tmp_path)[0].version == 3, "the log is for people"


def test_what_the_log_says_about_a_registered_version_does_not_count(tmp_path):
    with pytest.raises(UserError, match="without registering a model"):
        train(FakeCluster(GOOD_RUN), tmp_path, mlflow=FakeMlflow(registered=None))


def test_a_version_is_registered_although_the_pod_failed_afterwards(tmp_path):
    assert train(FakeCluster(GOOD_RUN, condition="Failed"), tmp_path)[0].version == 3, "the version is complete"


def test_if_mlflow_does_not_answer_at_the_end_the_message_says_how_to_see_the_result(tmp_path):
    mlflow = FakeMlflow()
    mlflow.error = UserError("MLflow does not answer.", where="http://mlflow", found="timed out")
    cluster = FakeCluster(GOOD_RUN)
    with pytest.raises(UserError) as failure:
        train(cluster, tmp_path, mlflow=mlflow)
    (name,) = cluster.jobs
    assert "ended without" not in str(failure.value), "nobody knows whether the run has registered a version"
    assert "timed out" in str(failure.value)
    assert f"modelstack train markdown --run {name}" in str(failure.value)


def test_a_run_that_has_ended_is_not_started_again(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    registered, _ = train(cluster, tmp_path, run="nightly-7")
    assert (registered.version, cluster.jobs) == (3, {}), "Kubernetes has deleted the Job, and MLflow has the version"


def test_a_run_with_a_given_id_is_started_with_it(tmp_path):
    cluster, mlflow = FakeCluster(GOOD_RUN), FakeMlflow(registered=None)
    create = cluster.create

    def created(path, body):
        create(path, body)
        mlflow.registered = 3

    cluster.create = created
    train(cluster, tmp_path, mlflow=mlflow, run="nightly-7")
    assert list(cluster.jobs) == ["nightly-7"]


def test_a_given_id_does_not_follow_another_run(tmp_path):
    cluster, mlflow = FakeCluster(GOOD_RUN), FakeMlflow(registered=None)
    cluster.jobs["markdown-0"] = {"metadata": {"name": "markdown-0", "ownerReferences": [{"name": "markdown-training"}]}}
    with pytest.raises(UserError):
        train(cluster, tmp_path, mlflow=mlflow, run="nightly-7")
    assert list(cluster.jobs) == ["markdown-0", "nightly-7"]


def test_the_id_of_a_run_of_another_workload_is_refused(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    cluster.jobs["nightly-7"] = {"metadata": {"name": "nightly-7", "ownerReferences": [{"name": "tuna-training"}]}}
    with pytest.raises(UserError, match="another run"):
        train(cluster, tmp_path, run="nightly-7")


def test_a_job_of_an_older_release_is_followed_and_its_log_counts(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    cluster.jobs["markdown-0"] = {"metadata": {"name": "markdown-0", "ownerReferences": [{"name": "markdown-training"}]}}
    assert train(cluster, tmp_path, mlflow=FakeMlflow(registered=None))[0].version == 3


def test_a_running_job_is_followed_and_no_second_one_is_started(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    owners = [{"name": "markdown-training"}]
    cluster.jobs["markdown-0"] = {"metadata": {"name": "markdown-0", "ownerReferences": owners}}
    _, shown = train(cluster, tmp_path)
    assert list(cluster.jobs) == ["markdown-0"]
    assert "training markdown, following markdown-0" in shown


BACK_TEST = [
    {"event": "metric", "name": "wape", "value": 0.4},
    {"event": "evidence", "version": 8, "run": "abc", "report": "sha256:1", "outcome": "confirmed"},
]


def back_test(cluster, tmp_path, **options):
    out = io.StringIO()
    return runs_in(cluster, tmp_path, version=8, **options).back_test(Reporter([PlainSink(out)])), out.getvalue()


def test_a_back_test_is_a_job_from_the_same_cron_job_with_the_version_as_argument(tmp_path):
    cluster = FakeCluster(BACK_TEST)
    result, shown = back_test(cluster, tmp_path)
    assert result == BackTestResult(version=8, run="abc", report="sha256:1", outcome="confirmed")
    ((name, job),) = cluster.jobs.items()
    assert name.startswith("markdown-v8-")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "workloads.run", "markdown", "--run", name, "--version", "8"]
    assert "back-test of markdown v8 done" in shown
    assert "confirmed, wape 0.400" in shown


def test_only_a_job_for_the_same_version_counts_as_running(tmp_path):
    cluster = FakeCluster(BACK_TEST)
    owners = [{"name": "markdown-training"}]
    cluster.jobs = {
        name: {"metadata": {"name": name, "ownerReferences": owners, "labels": labels}}
        for name, labels in (("training", {}), ("v7", {"modelstack.dev/backtested-version": "7"}))
    }
    assert runs_in(cluster, tmp_path).running() == "training"
    assert runs_in(cluster, tmp_path, version=7).running() == "v7"
    assert runs_in(cluster, tmp_path, version=8).running() is None


def test_a_back_test_whose_evidence_differs_fails_with_the_reason(tmp_path):
    lines = ["failed: wape was 0.4 and is 0.5"]
    with pytest.raises(UserError, match=r"(?s)back-test of markdown .*wape was 0.4 and is 0.5.*backtest markdown --version 8"):
        back_test(FakeCluster(lines, condition="Failed"), tmp_path, mlflow=FakeMlflow(outcome=None))


def test_the_outcome_of_a_back_test_is_known_although_the_log_is_lost(tmp_path):
    assert back_test(FakeCluster([]), tmp_path, mlflow=FakeMlflow(outcome="restored"))[0].outcome == "restored"


def test_a_lost_connection_does_not_repeat_lines(tmp_path):
    _, shown = train(FakeCluster(GOOD_RUN, connections=3), tmp_path)
    assert shown.count("source (1 of 2) ...") == 1
    assert len(next(tmp_path.glob("training-*.log")).read_text().splitlines()) == len(GOOD_RUN)


def test_progress_shows_why_a_pod_has_not_started_yet(tmp_path):
    waiting = [{"reason": "ContainerCreating"}, {"reason": "ImagePullBackOff", "message": "no such image"}]
    _, shown = train(FakeCluster(GOOD_RUN, waiting=waiting), tmp_path)
    assert "waiting for the pod done" in shown
    assert "ImagePullBackOff no such image" in shown


def test_a_run_whose_pod_cannot_start_fails_with_the_reason_and_deletes_the_job(tmp_path):
    cluster = FakeCluster(waiting=[{"reason": "ErrImagePull", "message": "no such image"}] * 100)
    with pytest.raises(UserError, match="no such image"):
        train(cluster, tmp_path)
    assert cluster.deleted, "otherwise the next command would follow a run that cannot start"


def test_a_run_whose_pod_the_cluster_refuses_fails_with_the_reason_of_the_cluster(tmp_path):
    cluster = FakeCluster(events=[{"reason": "FailedCreate", "message": "violates PodSecurity restricted"}])
    with pytest.raises(UserError, match="violates PodSecurity"):
        train(cluster, tmp_path)


def test_a_failed_run_names_the_step_and_shows_the_last_lines(tmp_path):
    lines = [
        {"event": "step", "step": "train", "state": "started"},
        "Traceback (most recent call last):",
        "ValueError: no rows",
        {"event": "step", "step": "train", "state": "failed"},
    ]
    with pytest.raises(UserError) as failure:
        train(FakeCluster(lines, condition="Failed"), tmp_path, mlflow=FakeMlflow(registered=None))
    assert "failed in step train" in str(failure.value)
    assert "ValueError: no rows" in str(failure.value)
    assert "BackoffLimitExceeded" in str(failure.value)
    assert '"event"' not in str(failure.value), "the message shows the lines that programs print, not the events"


def test_a_run_that_registers_no_model_fails(tmp_path):
    with pytest.raises(UserError, match="without registering a model"):
        train(FakeCluster(GOOD_RUN[:2]), tmp_path, mlflow=FakeMlflow(registered=None))


def test_a_run_that_somebody_else_deletes_fails(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    cluster.create = lambda _path, _body: None
    with pytest.raises(UserError, match="deleted"):
        train(cluster, tmp_path, mlflow=FakeMlflow(registered=None))


def test_cancel_deletes_the_running_job(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    cluster.jobs["markdown-0"] = {"metadata": {"name": "markdown-0", "ownerReferences": [{"name": "markdown-training"}]}}
    assert runs_in(cluster, tmp_path).cancel() == "markdown-0"
    assert runs_in(cluster, tmp_path).cancel() is None


def test_a_log_that_does_not_exist_yet_is_requested_again(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    log, refusals = cluster.log, [ApiError(400, "container is waiting to start")]

    def refusing(*args, **options):
        if refusals:
            raise refusals.pop()
        return log(*args, **options)

    cluster.log = refusing
    assert train(cluster, tmp_path)[0].version == 3
