"""Runs training and back-tests in the cluster: creates a Job from the workload's suspended CronJob and follows it to its end.

Ctrl-C stops the command, but not the run: `modelstack train` finds a running Job and follows it again, and
`modelstack train --cancel` ends the Job. An interrupted `make up` therefore loses no work and does not start a second run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clients.kubernetes import ApiError, list_at, text_at
from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.environments import outputs
from delivery.releases.revision import current_user, revision
from delivery.training import jobs
from delivery.training.log import TrainingLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clients.kubernetes import KubernetesClient, Object
    from common.progress import Progress, Step
    from delivery.environments.environment import Environment
    from delivery.environments.outputs import TrainingOutput
    from delivery.training.log import BackTestResult, RegisteredVersion

_START_FAILURES = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "FailedCreate",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
"""If a pod waits for one of these reasons, it rarely starts without a change by the user."""
_START_FAILURE_SECONDS = 60.0
"""How long a pod may wait for one of these reasons before the run is ended."""
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class TrainingRuns:
    """The training runs of one workload, or the back-tests of one of its versions.

    Args:
        workload: name of the workload.
        cluster: the cluster in which the runs take place.
        output: the stack's output about the workload's training.
        revision: revision of the code, which the run records.
        trainer: the person who starts the run, which the run records.
        version: the registered version to back-test; None to train a new version.
        logs: folder for the complete logs of the runs.
        sleep: waits for a number of seconds.
    """

    workload: str
    cluster: KubernetesClient
    output: TrainingOutput
    revision: str
    trainer: str
    version: int | None = None
    logs: Path = paths.LOGS
    sleep: Callable[[float], None] = time.sleep

    def train(self, progress: Progress) -> RegisteredVersion:
        """Starts a training run, or follows the one that is already running, and returns the version that it registered.

        Raises:
            UserError: the run failed; the message contains the last lines of its log.
        """
        with progress.step(f"training {self.workload}{self._follows()}") as step:
            name, job, log = self._run(step, progress)
            if log.registered is None or jobs.condition(job, "Failed"):
                raise self._failure(name, job, log, "Training", "without registering a model")
            step.note(f"version {log.registered.version}{_wape(log)}")
            return log.registered

    def back_test(self, progress: Progress) -> tuple[BackTestResult, dict[str, float]]:
        """Starts a back-test of `version`, or follows the one that is already running, and returns its result and metrics.

        Raises:
            UserError: the run failed, or its evidence differs from the recorded evidence; the message contains the last lines
                of its log.
        """
        with progress.step(f"back-test of {self.workload} v{self.version}{self._follows()}") as step:
            name, job, log = self._run(step, progress)
            if log.back_test is None or jobs.condition(job, "Failed"):
                raise self._failure(name, job, log, "The back-test", "without evidence")
            step.note(f"{log.back_test.outcome}{_wape(log)}")
            return log.back_test, log.metrics

    def running(self) -> str | None:
        """Returns the name of the running Job for the same workload and the same version, or None if there is no such Job."""
        for job in self.cluster.items(self._jobs()):
            owners = {text_at(owner, "name") for owner in list_at(job, "metadata", "ownerReferences")}
            matches = self.output.cron_job in owners and jobs.backtested_version(job) == self.version
            if matches and not jobs.ended(job) and not text_at(job, "metadata", "deletionTimestamp"):
                return text_at(job, "metadata", "name")
        return None

    def cancel(self) -> str | None:
        """Deletes the running Job and returns its name, or None if no Job is running."""
        name = self.running()
        if name is not None:
            self.cluster.delete(f"{self._jobs()}/{name}")
        return name

    def _follows(self) -> str:
        running = self.running()
        return f", following {running}" if running is not None else ""

    def _run(self, step: Step, progress: Progress) -> tuple[str, Object, TrainingLog]:
        """Starts or follows a run until it ends. Returns the name of the Job, the Job after its end, and the log."""
        running = self.running()
        name = running if running is not None else self._start()
        step.note(f"job {name}")
        with TrainingLog.reading(progress) as log:
            self._follow(name, log, progress)
        return name, self._job(name) or {}, log

    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.output.namespace}/jobs"

    def _start(self) -> str:
        cron_job = self.cluster.get(f"/apis/batch/v1/namespaces/{self.output.namespace}/cronjobs/{self.output.cron_job}")
        suffix = "" if self.version is None else f"-v{self.version}"
        name = f"{self.workload}{suffix}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        job = jobs.job_from_cron_job(cron_job, name, self.revision, self.trainer, self.version)
        self.cluster.create(self._jobs(), job)
        return name

    def _job(self, name: str) -> Object | None:
        match self.cluster.find(f"{self._jobs()}/{name}"):
            case Found(value=job):
                return job
            case Absent():
                return None
            case Unknown() as unknown:
                raise unknown.error("The cluster cannot be asked how the run ends. The run itself may go on.")

    def _follow(self, name: str, log: TrainingLog, progress: Progress) -> None:
        """Reads the logs of the Job's pods into `log` until the Job has ended."""
        lines_read: dict[str, int] = {}  # by pod
        while True:
            job = self._job(name)
            if job is None:
                raise UserError("The training run was deleted while it was running.", found=name, fix=self._fix())
            pod = self._newest_pod(name)
            if pod is not None and jobs.started(pod):
                self._read(text_at(pod, "metadata", "name"), lines_read, log)
                job = self._job(name) or job
            elif not jobs.ended(job):
                self._await_start(name, progress)
                continue
            if jobs.ended(job):
                return
            self.sleep(_POLL_SECONDS)

    def _newest_pod(self, job: str) -> Object | None:
        path = f"/api/v1/namespaces/{self.output.namespace}/pods"
        pods = self.cluster.items(path, {"labelSelector": f"batch.kubernetes.io/job-name={job}"})
        return max(pods, key=lambda pod: text_at(pod, "metadata", "creationTimestamp"), default=None)

    def _await_start(self, job: str, progress: Progress) -> None:
        with progress.step("waiting for the pod") as step:
            failing_seconds = 0.0
            while not jobs.ended(self._job(job) or {}):
                pod = self._newest_pod(job)
                if pod is not None and jobs.started(pod):
                    return
                reason, message = jobs.waiting_reason(pod) if pod is not None else self._reason_without_pod(job)
                step.note(f"{reason} {message}".strip())
                failing_seconds = failing_seconds + _POLL_SECONDS if reason in _START_FAILURES else 0.0
                if failing_seconds > _START_FAILURE_SECONDS:
                    self.cluster.delete(f"{self._jobs()}/{job}")
                    raise UserError(
                        f"The training pod cannot start: {reason}.", where=f"job {job}", found=message, fix=self._fix()
                    )
                self.sleep(_POLL_SECONDS)

    def _reason_without_pod(self, job: str) -> tuple[str, str]:
        """Returns why the Job has no pod: reason and message of the last warning about the Job in the API server's list."""
        path = f"/api/v1/namespaces/{self.output.namespace}/events"
        events = self.cluster.items(path, {"fieldSelector": f"involvedObject.name={job},type=Warning"})
        return (text_at(events[-1], "reason"), text_at(events[-1], "message")) if events else ("Pending", "")

    def _read(self, pod: str, lines_read: dict[str, int], log: TrainingLog) -> None:
        """Reads the pod's log to its end, skips the lines that an earlier connection has read, and updates `lines_read`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        skip = lines_read.get(pod, 0)
        try:
            with (self.logs / f"training-{pod}.log").open("a" if skip else "w", encoding="utf-8") as file:
                for number, line in enumerate(self.cluster.log(self.output.namespace, pod, follow=True), start=1):
                    if number > skip:
                        file.write(f"{line}\n")
                        log.feed(line)
                        lines_read[pod] = number
        except ApiError:
            # The container has not started yet or is already gone. The status of the Job shows how the run ended.
            return

    def _failure(self, name: str, job: Object, log: TrainingLog, what: str, ended: str) -> UserError:
        condition = jobs.condition(job, "Failed")
        why = " ".join(part for part in (text_at(condition, "reason"), text_at(condition, "message")) if part)
        where = f" in step {log.last_step}" if log.last_step else ""
        lines = "\n".join(f"    {line}" for line in log.lines)
        outcome = f"failed{where}" if condition else f"ended {ended}"
        return UserError(
            f"{what} of {self.workload} {outcome}.\n\n{lines}\n",
            where=f"job {name}; complete log: {self._log_files(name)}",
            found=why or None,
            fix=self._fix(),
        )

    def _log_files(self, name: str) -> str:
        return ", ".join(str(file) for file in sorted(self.logs.glob(f"training-{name}-*.log"))) or "not stored"

    def _fix(self) -> str:
        command = f"train {self.workload}" if self.version is None else f"backtest {self.workload} --version {self.version}"
        return f"fix the cause, then run `modelstack {command}` again"


def _wape(log: TrainingLog) -> str:
    return f", wape {log.metrics['wape']:.3f}" if "wape" in log.metrics else ""


def runs_of(environment: Environment, workload: str, version: int | None = None) -> TrainingRuns:
    """Returns the training runs of a workload, or the back-tests of one of its versions if `version` is given.

    Raises:
        UserError: the environment does not have the workload.
    """
    return TrainingRuns(
        workload=workload,
        cluster=environment.cluster,
        output=outputs.training_of(environment.name, environment.outputs, workload),
        revision=revision(),
        trainer=current_user(),
        version=version,
    )
