"""A training run or a back-test as an object: what is given to it when it is started, and the checks of these values."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from workloads.declaration import Fingerprint, WorkloadName
from workloads.declared import Declared

_LONGEST_ID: Final = 63
"""The longest label value and the longest Job name that Kubernetes accepts."""
_ID: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
RunId = Annotated[str, Field(pattern=_ID, max_length=_LONGEST_ID)]
"""The id of a run: lower-case letters, digits and dashes, at most 63 characters. It is the name of the run's Job and of its
folder on the data share, and the value of the tag `RUN_TAG` in MLflow. MLflow's own id of its record is another one."""
RUN_TAG: Final = "modelstack.run"
"""The tag of MLflow runs and of model versions that contains the id of the run."""
_CHUNK: Final = re.compile(r"^([1-9][0-9]{0,5})/([1-9][0-9]{0,5})$")
UNKNOWN: Final = "unknown"
"""A value that nobody has given, for example the image of a run that executes in no container."""


class Chunk(Declared):
    """The part of a workload's scenarios that a step processes: number `number` of `of`, counted from 1."""

    number: Annotated[int, Field(ge=1)] = 1
    of: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _number_is_not_above_the_count(self) -> Self:
        if self.number > self.of:
            msg = f"chunk {self} does not exist"
            raise ValueError(msg)
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses `1/4`.

        Raises:
            ValueError: the text has another format, or the number is above the count.
        """
        found = _CHUNK.fullmatch(text)
        if found is None:
            msg = f"{text!r} is not a chunk: write its number and the number of chunks, for example 1/4"
            raise ValueError(msg)
        return cls(number=int(found[1]), of=int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class RunInputs(Declared):
    """What a run reads, by digests and numbers. The results of two runs with equal inputs can be compared."""

    data: Fingerprint
    """The fingerprint of the source data that the workload declares."""
    image: str = UNKNOWN
    """The digest of the container image in which the run executes."""
    code: str = UNKNOWN
    """The digest of the files that this image was built from."""
    version: Annotated[int, Field(ge=1)] | None = None
    """The registered version to back-test. None for a training."""


class Run(Declared):
    """One training or one back-test. All processes of the run have the same values, except `step` and `chunk`."""

    id: RunId
    workload: WorkloadName
    purpose: Literal["train", "backtest"]
    revision: str
    """The last commit that changed the code in the image: see `infra.image_inputs`."""
    trainer: str
    """Mail address of the person who started the run."""
    inputs: RunInputs
    step: str | None = None
    """The only step that this process runs. None: all steps."""
    chunk: Chunk = Chunk()

    @model_validator(mode="after")
    def _only_a_back_test_has_a_version(self) -> Self:
        if (self.purpose == "backtest") != (self.inputs.version is not None):
            msg = f"purpose {self.purpose} with version {self.inputs.version}: a back-test needs a version, a training has none"
            raise ValueError(msg)
        return self

    def differences(self, other: Run) -> list[str]:
        """Returns what another process of the same run may not change, and what it has changed, as texts for people."""
        mine, others = (_constant(run) for run in (self, other))
        return [f"{name} was {mine[name]} and is {others[name]}" for name in mine if mine[name] != others[name]]


def is_id(text: str) -> bool:
    """Returns whether a text has the format of a run's id."""
    return re.fullmatch(_ID, text) is not None


def new_id(workload: str, version: int | None = None) -> str:
    """Returns an id for a new run. It contains the workload, the back-tested version, the time in UTC, and four random digits.

    A long name of a workload is cut, so that the id is a valid name of a Job.
    """
    suffix = "" if version is None else f"-v{version}"
    suffix += f"-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return workload[: _LONGEST_ID - len(suffix)].rstrip("-") + suffix


def _constant(run: Run) -> dict[str, object]:
    inputs = run.inputs
    return {
        "workload": run.workload,
        "purpose": run.purpose,
        "version": inputs.version,
        "data": inputs.data,
        "code": inputs.code,
        "image": inputs.image,
    }
