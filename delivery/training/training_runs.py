"""Runs training and back-tests in the cluster: creates a Job from the workload's suspended CronJob and follows it to its end.

What a run has registered or recorded is looked up in MLflow by the run's id. The log of its pod is progress for people: it may
be incomplete, or be lost with the pod.

Ctrl-C stops the command, but not the run: `modelstack train` finds a running Job and follows it again, and
`modelstack train --cancel` ends the Job. An interrupted `make up` therefore loses no work and does not start a second run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from clients.kubernetes import ApiError, list_at, text_at
from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.environments import outputs
from delivery.releases.user import current_user
from delivery.training import jobs
from delivery.training.log import TrainingLog
from delivery.training.records import RunRecords
from workloads.training_run import is_id, new_id

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
_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class TrainingRuns:
    """The training runs of one workload, or the back-tests of one of its versions.

    Args:
        workload: name of the workload.
        cluster: the cluster in which the runs take place.
        output: the stack's output about the workload's training.
        records: what the runs have recorded in MLflow.
        trainer: the person who starts the run, which the run records.
        version: the registered version to back-test; None to train a new version.
        run: the id of the run to start or to follow. None: follow the run in progress, or start one with a new id.
        logs: folder for the complete logs of the runs.
        sleep: waits for a number of seconds.
    """

    workload: str
    cluster: KubernetesClient
    output: TrainingOutput
    records: RunRecords
    trainer: str
    version: int | None = None
    run: str | None = None
    logs: Path = paths.LOGS
    sleep: Callable[[float], None] = time.sleep

    def train(self, progress: Progress) -> RegisteredVersion:
        """Starts a training run, or follows the one that is already running, and returns the version that it registered.

        Raises:
            UserError: the run failed, and the message contains the last lines of its log; or MLflow cannot be asked.
        """
        with progress.step(f"training {self.workload}{self._follows()}") as step:
            name, job, log = self._run(step, progress)
            registered = self.records.registered(name) if jobs.has_run_id(job) else _logged(job, log.registered)
            if registered is None:
                raise self._failure(name, job, log, "Training", "without registering a model")
            step.note(f"version {registered.version}{_wape(log)}")
            return registered

    def back_test(self, progress: Progress) -> BackTestResult:
        """Starts a back-test of `version`, or follows the one that is already running, and returns its result.

        Raises:
            UserError: the run failed, or its evidence differs from the recorded evidence, and the message contains the last
                lines of its log; or MLflow cannot be asked.
        """
        with progress.step(f"back-test of {self.workload} v{self.version}{self._follows()}") as step:
            name, job, log = self._run(step, progress)
            result = self.records.back_tested(name) if jobs.has_run_id(job) else _logged(job, log.back_test)
            if result is None:
                raise self._failure(name, job, log, "The back-test", "without evidence")
            step.note(f"{result.outcome}{_wape(log)}")
            return result

    def running(self) -> str | None:
        """Returns the name of the running Job for the same workload and the same version, or None if there is no such Job.

        If the run has a given id, only the Job with this name counts.
        """
        for job in self.cluster.items(self._jobs()):
            name = text_at(job, "metadata", "name")
            is_active = not jobs.ended(job) and not text_at(job, "metadata", "deletionTimestamp")
            if self._is_mine(job) and self.run in {None, name} and is_active:
                return name
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

    def _run(self, step: Step, progress: Progress) -> tuple[str, Object | None, TrainingLog]:
        """Starts or follows a run until it ends. Returns its id, the Job after its end if it still exists, and the log.

        A run with a given id that has ended is not started again.
        """
        name = self.running() or self.run or new_id(self.workload, self.version)
        with TrainingLog.reading(progress) as log:
            job = self._job(name)
            if job is not None and not self._is_mine(job):
                raise UserError("This is the id of another run.", where=f"job {name}", fix="choose another id with --run")
            if job is None and not self._is_recorded(name):
                self._start(name)
            step.note(f"job {name}")
            self._follow(name, log, progress)
        return name, self._job(name), log

    def _is_mine(self, job: Object) -> bool:
        owners = {text_at(owner, "name") for owner in list_at(job, "metadata", "ownerReferences")}
        return self.output.cron_job in owners and jobs.backtested_version(job) == self.version

    def _is_recorded(self, run: str) -> bool:
        """Returns whether MLflow has the result of a run with a given id, whose Job Kubernetes has deleted since."""
        if run != self.run:
            return False
        return (self.records.registered(run) if self.version is None else self.records.back_tested(run)) is not None

    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.output.namespace}/jobs"

    def _start(self, run: str) -> None:
        cron_job = self.cluster.get(f"/apis/batch/v1/namespaces/{self.output.namespace}/cronjobs/{self.output.cron_job}")
        self.cluster.create(self._jobs(), jobs.job_from_cron_job(cron_job, run, self.trainer, self.version))

    def _job(self, name: str) -> Object | None:
        match self.cluster.find(f"{self._jobs()}/{name}"):
            case Found(value=job):
                return job
            case Absent():
                return None
            case Unknown() as unknown:
                raise unknown.error("The cluster cannot be asked how the run ends. The run itself may go on.")

    def _follow(self, name: str, log: TrainingLog, progress: Progress) -> None:
        """Reads the logs of the Job's pods into `log` until the Job has ended or is gone."""
        lines_read: dict[str, int] = {}  # by pod
        while True:
            job = self._job(name)
            if job is None:
                return
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

    def _failure(self, name: str, job: Object | None, log: TrainingLog, what: str, ended: str) -> UserError:
        if job is None:
            return UserError("The training run was deleted while it was running.", found=name, fix=self._fix())
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
        return f"fix the cause, then run `modelstack {_command(self.workload, self.version)}` again"


def _wape(log: TrainingLog) -> str:
    return f", wape {log.metrics['wape']:.3f}" if "wape" in log.metrics else ""


def _logged(job: Object | None, found: _Result | None) -> _Result | None:
    """Returns what the log says. Only for a Job that an older release has created: MLflow does not know its id."""
    return None if jobs.condition(job or {}, "Failed") else found


def _command(workload: str, version: int | None) -> str:
    return f"train {workload}" if version is None else f"backtest {workload} --version {version}"


def runs_of(environment: Environment, workload: str, version: int | None = None, run: str | None = None) -> TrainingRuns:
    """Returns the training runs of a workload, or the back-tests of one of its versions if `version` is given.

    With `run`, the id of a run, only this run is started or followed.

    Raises:
        UserError: the environment does not have the workload, or the id has the wrong format.
    """
    if run is not None and not is_id(run):
        raise UserError(
            "This is not the id of a run.",
            where="--run",
            found=run,
            example=new_id(workload, version),
            fix="use at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends",
        )
    records = RunRecords(workload=workload, connect=lambda: environment.model_registry, command=_command(workload, version))
    return TrainingRuns(
        workload=workload,
        cluster=environment.cluster,
        output=outputs.training_of(environment.name, environment.outputs, workload),
        records=records,
        trainer=current_user(),
        version=version,
        run=run,
    )
