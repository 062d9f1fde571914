"""Training runs: created from a CronJob, followed to their end, found again after an interruption."""

import io
import json

import pytest

from clients.kubernetes import ApiError
from common.answers import Absent, Found
from common.errors import UserError
from delivery.console.progress import PlainSink, Reporter
from delivery.environments.outputs import TrainingOutput
from delivery.training.log import BackTestResult
from delivery.training.training_runs import TrainingRuns

JOBS = "/apis/batch/v1/namespaces/training/jobs"
PODS = "/api/v1/namespaces/training/pods"
CRON_JOB = {
    "metadata": {"name": "markdown-training", "uid": "u1"},
    "spec": {
        "suspend": True,
        "jobTemplate": {
            "metadata": {"labels": {"app": "markdown"}},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "spec": {
                        "containers": [
                            {
                                "name": "training",
                                "command": ["python", "-m", "workloads.run", "markdown"],
                                "env": [{"name": "MODELSTACK_DATA", "value": "/data"}],
                            }
                        ]
                    }
                },
            },
        },
    },
}
REGISTERED = {"event": "registered", "model": "markdown", "version": 3, "run": "abc"}
GOOD_RUN = [
    {"event": "step", "step": "source", "state": "started", "index": 1, "total": 2},
    {"event": "step", "step": "source", "state": "done", "seconds": 0.1},
    {"event": "metric", "name": "wape", "value": 0.4},
    REGISTERED,
]


class FakeCluster:
    """A cluster that runs each Job at once.

    The pod of a Job waits for the reasons in `waiting` in turn and then prints `lines`; the first `connections - 1` requests
    for the log return only two lines. The Job ends with the condition `condition`. If there are `events`, no pod is created.
    """

    def __init__(self, lines=(), *, condition="Complete", waiting=(), events=(), connections=1):
        self.lines = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.condition, self.waiting, self.events = condition, list(waiting), list(events)
        self.jobs, self.deleted, self.connections, self.ended = {}, [], connections, False

    def get(self, path):
        assert path.endswith("/cronjobs/markdown-training")
        return CRON_JOB

    def create(self, path, body):
        assert path == JOBS
        self.jobs[body["metadata"]["name"]] = body

    def delete(self, path):
        self.deleted.append(path)
        self.jobs.pop(path.rpartition("/")[2])

    def find(self, path):
        name = path.rpartition("/")[2]
        return Found(self.job(name)) if name in self.jobs else Absent()

    def job(self, name):
        conditions = [{"type": self.condition, "status": "True", "reason": "BackoffLimitExceeded"}] if self.ended else []
        return {**self.jobs[name], "status": {"conditions": conditions}}

    def items(self, path, params=None):
        if path == JOBS:
            return [self.job(name) for name in self.jobs]
        if path.endswith("/events"):
            return self.events
        state = {"waiting": self.waiting.pop(0)} if self.waiting else {"running": {}}
        created = {"name": "pod-1", "creationTimestamp": "2026-01-01T00:00:00Z"}
        return [] if self.events else [{"metadata": created, "status": {"containerStatuses": [{"state": state}]}}]

    def log(self, namespace, pod, *, follow):
        self.connections -= 1
        if self.connections > 0:
            yield from self.lines[:2]
            return
        yield from self.lines
        self.ended = True


def runs_in(cluster, tmp_path, version=None):
    output = TrainingOutput(namespace="training", cron_job="markdown-training", image="i")
    return TrainingRuns(
        workload="markdown",
        cluster=cluster,
        output=output,
        revision="1234567",
        trainer="t@example.com",
        version=version,
        logs=tmp_path,
        sleep=lambda _seconds: None,
    )


def train(cluster, tmp_path):
    out = io.StringIO()
    return runs_in(cluster, tmp_path).train(Reporter([PlainSink(out)])), out.getvalue()


def test_a_run_shows_its_steps_and_returns_the_registered_version(tmp_path):
    registered, shown = train(FakeCluster(GOOD_RUN), tmp_path)
    assert (registered.version, registered.run) == (3, "abc")
    assert "training markdown > source (1 of 2) done" in shown
    assert "version 3, wape 0.400" in shown


def test_the_job_is_created_from_the_cron_job_with_revision_and_trainer(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    train(cluster, tmp_path)
    (job,) = cluster.jobs.values()
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "MODELSTACK_REVISION", "value": "1234567"} in env
    assert {"name": "MODELSTACK_TRAINER", "value": "t@example.com"} in env, "a trainer may not approve"
    assert {"name": "MODELSTACK_DATA", "value": "/data"} in env
    assert job["metadata"]["ownerReferences"][0]["uid"] == "u1", "Kubernetes deletes the Jobs together with the CronJob"
    assert "MODELSTACK_REVISION" not in json.dumps(CRON_JOB), "the CronJob object is not changed"


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


def back_test(cluster, tmp_path):
    out = io.StringIO()
    return runs_in(cluster, tmp_path, version=8).back_test(Reporter([PlainSink(out)])), out.getvalue()


def test_a_back_test_is_a_job_from_the_same_cron_job_with_the_version_as_argument(tmp_path):
    cluster = FakeCluster(BACK_TEST)
    (result, metrics), shown = back_test(cluster, tmp_path)
    assert (result, metrics) == (BackTestResult(version=8, run="abc", report="sha256:1", outcome="confirmed"), {"wape": 0.4})
    ((name, job),) = cluster.jobs.items()
    assert name.startswith("markdown-v8-")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "workloads.run", "markdown", "--version", "8"]
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
        back_test(FakeCluster(lines, condition="Failed"), tmp_path)


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
        train(FakeCluster(lines, condition="Failed"), tmp_path)
    assert "failed in step train" in str(failure.value)
    assert "ValueError: no rows" in str(failure.value)
    assert "BackoffLimitExceeded" in str(failure.value)
    assert '"event"' not in str(failure.value), "the message shows the lines that programs print, not the events"


def test_a_run_that_registers_no_model_fails(tmp_path):
    with pytest.raises(UserError, match="without registering a model"):
        train(FakeCluster(GOOD_RUN[:2]), tmp_path)


def test_a_run_that_somebody_else_deletes_fails(tmp_path):
    cluster = FakeCluster(GOOD_RUN)
    cluster.create = lambda _path, _body: None
    with pytest.raises(UserError, match="deleted"):
        train(cluster, tmp_path)


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
