"""The types of a workload's declaration, as plain frozen data.

A workload is the same in every environment. Settings that differ between environments (replicas, ports) are in the stack files.
This module imports only pydantic, so that the infrastructure program, the command and the training image can all read the same
declaration.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from workloads.canary import CanaryRules
from workloads.declared import Declared
from workloads.gate import Gate

if TYPE_CHECKING:
    from pathlib import Path

WorkloadName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""Also the name of the registered model and the prefix of Kubernetes names: lower case, at most 40 characters."""
Quantity = Annotated[str, Field(pattern=r"^[1-9][0-9]*(m|Ki|Mi|Gi)?$")]
"""A Kubernetes quantity, for example `500m` (half a core) or `3Gi`."""
Fingerprint = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""Identifies content by its digest: `sha256:` and 64 hexadecimal digits."""
Entry = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.]*:[a-z_][a-z0-9_]*$")]
"""The name of a function, `package.module:function`. Not the function itself: only the training image can import it."""


class Step(Declared):
    """One step of training. Steps run in the order of their declaration."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    summary: str
    """What the step does, in a few words. It is shown while the step runs."""
    run: Entry
    """`function(context: workloads.context.Context) -> None`."""
    evidence: bool = False
    """Whether evidence needs this step: data, features, back-test. When a registered version is back-tested, only these steps
    run. They then use the registered model (`workloads.training.onnx.GRAPH` in the run's folder)."""


class Source(Declared):
    """The training data of a workload. A file with the same name but another fingerprint is refused."""

    file: str
    """The file's name in the folder `$MODELSTACK_SOURCE`."""
    fingerprint: Fingerprint
    until: date | None = None
    """The last day of the data with this fingerprint. None if that day is not known."""
    origin: str
    """Where the data comes from, as a text for people."""


class Resources(Declared):
    """Resource requests and limits of one container. The memory request is also the memory limit."""

    cpu: Quantity
    memory: Quantity
    cpu_limit: Quantity | None = None
    """None: no limit. The container may use all CPU that the node has left."""


class Training(Declared):
    """Resources and limits of a training run."""

    resources: Resources
    deadline_seconds: Annotated[int, Field(gt=0)]
    """The cluster ends a run that takes longer than this."""
    scratch: Quantity
    """Size of `/tmp`, the only writable folder apart from the data share."""


class Serving(Declared):
    """Resources of one replica of an endpoint's variant, and the CPU load above which replicas are added."""

    resources: Resources
    workers: Annotated[int, Field(ge=1, le=16)] = 1
    """Number of server processes in a replica."""
    target_cpu_percent: Annotated[int, Field(ge=10, le=100)] = 70
    """Replicas are added when the mean CPU use is above this percentage of the CPU request."""
    flavour: Literal["onnx", "native"] = "onnx"
    """`native` is for models that cannot be converted to ONNX. They need an image with training's locked packages."""


class Approver(Declared):
    """A person who may approve releases of a workload."""

    name: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    """A mail address, as in git's `user.email`."""
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
    """The public half of an Ed25519 key (RFC 8032), 32 bytes in base64."""
    revoked: str | None = None
    """Why the key is no longer valid. The entry stays in the list, so that errors about its signatures give the reason."""


class Workload(Declared):
    """A model and everything that belongs to it. The same in every environment."""

    name: WorkloadName
    owner: str
    """Who is responsible for the workload: a team or a mail address."""
    description: str
    source: Source
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    gate: Gate
    training: Training
    serving: Serving
    canary: CanaryRules = CanaryRules()
    """The rules by which `modelstack canary --watch` makes a canary stable or removes it."""
    approvers: tuple[Approver, ...] = ()
    """Who may approve releases of the workload. `read_approvers` reads them from `approvers.json` in the workload's folder,
    a file that is reviewed like code."""

    @model_validator(mode="after")
    def _steps_have_different_names(self) -> Self:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            msg = f"workload {self.name}: two steps have the same name: {', '.join(names)}"
            raise ValueError(msg)
        return self


def read_approvers(folder: Path) -> tuple[Approver, ...]:
    """Reads `approvers.json`, a list of `Approver`, from a workload's folder. Returns an empty tuple if there is no such file.

    Raises:
        pydantic.ValidationError: the file's content is not a list of `Approver`.
    """
    file = folder / "approvers.json"
    return TypeAdapter(tuple[Approver, ...]).validate_json(file.read_text(encoding="utf-8")) if file.is_file() else ()
