"""What a run has registered or recorded, as MLflow knows it by the run's id. The log of its pod is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from common.errors import UserError
from delivery.training.log import BackTestResult, RegisteredVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.model_registry import ModelVersion

_Record = TypeVar("_Record")


class RecordSource(Protocol):
    """The functions of the model registry that look up runs. See `clients.model_registry.ModelRegistry`."""

    def registered_by(self, name: str, run: str) -> ModelVersion | None: ...
    def back_tested_by(self, name: str, run: str) -> dict[str, str] | None: ...


@dataclass(frozen=True, kw_only=True)
class RunRecords:
    """The records of the runs of one workload.

    Args:
        workload: name of the workload.
        connect: connects to the model registry, or raises `UserError`. It is called at each look-up.
        command: the command that shows the result of a run when `--run` and its id are added, without `modelstack`.
    """

    workload: str
    connect: Callable[[], RecordSource]
    command: str

    def registered(self, run: str) -> RegisteredVersion | None:
        """Returns the version that a training run has registered, or None.

        Raises:
            UserError: MLflow cannot be asked.
        """
        found = self._look_up(run, lambda source: source.registered_by(self.workload, run))
        return RegisteredVersion(found.name, found.version, found.run) if found is not None else None

    def back_tested(self, run: str) -> BackTestResult | None:
        """Returns the outcome of a back-test, or None.

        Raises:
            UserError: MLflow cannot be asked.
        """
        found = self._look_up(run, lambda source: source.back_tested_by(self.workload, run))
        if found is None:
            return None
        return BackTestResult(int(found["version"]), found["parent"], found["report"], found["outcome"])

    def _look_up(self, run: str, ask: Callable[[RecordSource], _Record]) -> _Record:
        try:
            return ask(self.connect())
        except UserError as error:
            raise UserError(
                f"MLflow cannot be asked what the run of {self.workload} has recorded. Nothing was started or repeated.",
                where=f"run {run}; {error.where}",
                found=" ".join(str(part) for part in (error.what, error.found) if part),
                fix=f"run `modelstack status`; when MLflow answers, `modelstack {self.command} --run {run}` shows the result",
            ) from None
