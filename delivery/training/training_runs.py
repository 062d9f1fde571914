"""Training and back-tests in the environment: a Job made from the workload's suspended CronJob, followed to its end.

Ctrl-C stops the watching, not the run: `modelstack train` finds a run that is under way and follows it again, and
`modelstack train --cancel` ends it. So an interrupted `make up` loses no work and leaves no second run behind.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clients.kubernetes import ApiError, list_at, text_at
from common import paths
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
    from delivery.training.log import BackTested, Registered

_HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "FailedCreate",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
_HOPE_SECONDS = 60.0
"""How long a pod may be in a state that seldom mends itself."""
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class TrainingRuns:
    """Training runs and back-tests of one workload.

    Args:
        workload: its name.
        cluster: where.
        output: what the stack says about its training.
        revision: of the code, as the run records it.
        trainer: who starts it, as the run records it.
        version: the registered version that is back-tested; None: a new one is trained.
        logs: where the run's whole log is kept.
        sleep: waits some seconds.
    """

    workload: str
    cluster: KubernetesClient
    output: TrainingOutput
    revision: str
    trainer: str
    version: int | None = None
    logs: Path = paths.LOGS
    sleep: Callable[[float], None] = time.sleep

    def train(self, progress: Progress) -> Registered:
        """Runs the workload's steps, or follows the run that is already under way, and gives the version it registered.

        Raises:
            UserError: the run failed; the message holds its last lines.
        """
        with progress.step(f"training {self.workload}{self._follows()}") as step:
            name, job, log = self._run(step, progress)
            if log.registered is None or jobs.condition(job, "Failed"):
                raise self._failure(name, job, log, "Training", "without registering a model")
            step.note(f"version {log.registered.version}{_wape(log)}")
            return log.registered

    def back_test(self, progress: Progress) -> tuple[BackTested, dict[str, float]]:
        """Makes the evidence of `version` again, or follows the run that does it, and gives what it says, and its metrics.

        Raises:
            UserError: the run failed, or its evidence is not what is on record; the message holds its last lines.
        """
        with progress.step(f"back-test of {self.workload} v{self.version}{self._follows()}") as step:
            name, job, log = self._run(step, progress)
            if log.evidence is None or jobs.condition(job, "Failed"):
                raise self._failure(name, job, log, "The back-test", "without evidence")
            step.note(f"{log.evidence.outcome}{_wape(log)}")
            return log.evidence, log.metrics

    def running(self) -> str | None:
        """The run under way that does the same, if there is one."""
        for job in self.cluster.items(self._jobs()):
            owners = {text_at(owner, "name") for owner in list_at(job, "metadata", "ownerReferences")}
            ours = self.output.cron_job in owners and jobs.backtested(job) == self.version
            if ours and not jobs.ended(job) and not text_at(job, "metadata", "deletionTimestamp"):
                return text_at(job, "metadata", "name")
        return None

    def cancel(self) -> str | None:
        """Ends the run under way and gives its name."""
        name = self.running()
        if name is not None:
            self.cluster.delete(f"{self._jobs()}/{name}")
        return name

    def _follows(self) -> str:
        running = self.running()
        return f", following {running}" if running is not None else ""

    def _run(self, step: Step, progress: Progress) -> tuple[str, Object, TrainingLog]:
        """A run to its end: its job's name, the job as it then is, and what it said."""
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
        what = "" if self.version is None else f"-v{self.version}"
        name = f"{self.workload}{what}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        self.cluster.create(self._jobs(), jobs.job_of(cron_job, name, self.revision, self.trainer, self.version))
        return name

    def _job(self, name: str) -> Object | None:
        return self.cluster.find(f"{self._jobs()}/{name}")

    def _follow(self, name: str, log: TrainingLog, progress: Progress) -> None:
        """Feeds the run's lines to `log` until the job has ended."""
        read: dict[str, int] = {}
        while True:
            job = self._job(name)
            if job is None:
                raise UserError("The training run was deleted while it ran.", found=name, fix=self._again())
            pod = self._newest_pod(name)
            if pod is not None and jobs.started(pod):
                self._read(text_at(pod, "metadata", "name"), read, log)
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
            hopeless = 0.0
            while not jobs.ended(self._job(job) or {}):
                pod = self._newest_pod(job)
                if pod is not None and jobs.started(pod):
                    return
                reason, message = jobs.waiting(pod) if pod is not None else self._no_pod(job)
                step.note(f"{reason} {message}".strip())
                hopeless = hopeless + _POLL_SECONDS if reason in _HOPELESS else 0.0
                if hopeless > _HOPE_SECONDS:
                    self.cluster.delete(f"{self._jobs()}/{job}")
                    raise UserError(
                        f"The training pod cannot start: {reason}.", where=f"job {job}", found=message, fix=self._again()
                    )
                self.sleep(_POLL_SECONDS)

    def _no_pod(self, job: str) -> tuple[str, str]:
        """Why the job has no pod: the newest warning about it."""
        path = f"/api/v1/namespaces/{self.output.namespace}/events"
        events = self.cluster.items(path, {"fieldSelector": f"involvedObject.name={job},type=Warning"})
        return (text_at(events[-1], "reason"), text_at(events[-1], "message")) if events else ("Pending", "")

    def _read(self, pod: str, read: dict[str, int], log: TrainingLog) -> None:
        """Reads the pod's log to its end, without the lines that an earlier connection brought."""
        self.logs.mkdir(parents=True, exist_ok=True)
        seen = read.get(pod, 0)
        try:
            with (self.logs / f"training-{pod}.log").open("a" if seen else "w", encoding="utf-8") as file:
                for number, line in enumerate(self.cluster.log(self.output.namespace, pod, follow=True), start=1):
                    if number > seen:
                        file.write(f"{line}\n")
                        log.feed(line)
                        read[pod] = number
        except ApiError:
            # The container is not there yet, or no more; the job tells how it ended.
            return

    def _failure(self, name: str, job: Object, log: TrainingLog, what: str, ended: str) -> UserError:
        condition = jobs.condition(job, "Failed")
        why = " ".join(part for part in (text_at(condition, "reason"), text_at(condition, "message")) if part)
        where = f" in step {log.last_step}" if log.last_step else ""
        lines = "\n".join(f"    {line}" for line in log.lines)
        outcome = f"failed{where}" if condition else f"ended {ended}"
        return UserError(
            f"{what} of {self.workload} {outcome}.\n\n{lines}\n",
            where=f"job {name}; its whole log: {self._log_files(name)}",
            found=why or None,
            fix=self._again(),
        )

    def _log_files(self, name: str) -> str:
        return ", ".join(str(file) for file in sorted(self.logs.glob(f"training-{name}-*.log"))) or "not kept"

    def _again(self) -> str:
        command = f"train {self.workload}" if self.version is None else f"backtest {self.workload} --version {self.version}"
        return f"mend that, then run `modelstack {command}` again"


def _wape(log: TrainingLog) -> str:
    return f", wape {log.metrics['wape']:.3f}" if "wape" in log.metrics else ""


def runs_of(environment: Environment, workload: str, version: int | None = None) -> TrainingRuns:
    """The training runs of a workload, or the back-tests of one of its registered versions.

    Raises:
        UserError: the environment knows no such workload.
    """
    return TrainingRuns(
        workload=workload,
        cluster=environment.cluster,
        output=outputs.training_of(environment.name, environment.outputs, workload),
        revision=revision(),
        trainer=current_user(),
        version=version,
    )
