"""What a workload is, as plain frozen data.

A workload is the same in every environment: what differs between them (replicas, ports) is in the stack files. This module
needs pydantic alone, so that the infrastructure program, the command and the training image can all read the same declaration.
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
"""Also the name of the registered model and the start of Kubernetes names, hence lower case and at most 40 characters."""
Quantity = Annotated[str, Field(pattern=r"^[1-9][0-9]*(m|Ki|Mi|Gi)?$")]
"""A Kubernetes quantity, for example `500m` (half a core) or `3Gi`."""
Fingerprint = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""What identifies content: `sha256:` and 64 hexadecimal digits."""
Entry = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.]*:[a-z_][a-z0-9_]*$")]
"""A function by name, `package.module:function`. A name, because only the training environment can import it."""


class Step(Declared):
    """One step of training. Steps run in the order they are declared."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    summary: str
    """What it does, in a few words, for whoever watches."""
    run: Entry
    """`function(context: workloads.context.Context) -> None`."""
    evidence: bool = False
    """Whether evidence needs it: data, features, back-test. These steps run without the others when a registered version is
    back-tested; the model is then the registered one (`workloads.training.onnx.GRAPH` in the run's folder)."""


class Source(Declared):
    """The data a workload is trained on. Anything else under that name is refused."""

    file: str
    """Its name in the folder `$MODELSTACK_SOURCE`."""
    fingerprint: Fingerprint
    until: date | None = None
    """The last day that the data under this fingerprint is of; None where that is not known."""
    origin: str
    """Where it comes from, for people."""


class Resources(Declared):
    """What one container asks for, and what it may not exceed. Memory has one figure: what is asked for is what is allowed."""

    cpu: Quantity
    memory: Quantity
    cpu_limit: Quantity | None = None
    """None: as much as the node has left."""


class Training(Declared):
    """What a training run needs."""

    resources: Resources
    deadline_seconds: Annotated[int, Field(gt=0)]
    """A run that takes longer is ended by the cluster."""
    scratch: Quantity
    """Size of `/tmp`, the only writable place beside the data share."""


class Serving(Declared):
    """What one replica of an endpoint's variant needs, and when there should be another."""

    resources: Resources
    workers: Annotated[int, Field(ge=1, le=16)] = 1
    """Server processes in a replica."""
    target_cpu_percent: Annotated[int, Field(ge=10, le=100)] = 70
    """Replicas are added when the mean use of the CPU asked for is above."""
    flavour: Literal["onnx", "native"] = "onnx"
    """`native` is for models that cannot be converted: they need an image locked to their training environment."""


class Approver(Declared):
    """Somebody who may approve releases of a workload."""

    name: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    """A mail address, as git knows them."""
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
    """The public half of an Ed25519 key (RFC 8032), 32 bytes in base64."""
    revoked: str | None = None
    """Why the key no longer counts. Its line stays: whoever finds a signature by it is told the reason."""


class Workload(Declared):
    """A model and everything that belongs to it, wherever it runs."""

    name: WorkloadName
    owner: str
    """Who answers for it: a team or a mail address."""
    description: str
    source: Source
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    gate: Gate
    training: Training
    serving: Serving
    canary: CanaryRules = CanaryRules()
    """When a version that is tried becomes stable by itself, and when it is given up: `modelstack canary --watch`."""
    approvers: tuple[Approver, ...] = ()
    """Who may approve its releases. Read from `approvers.json` in its folder, a reviewed file like the code: `approvers_of`."""

    @model_validator(mode="after")
    def _steps_have_different_names(self) -> Self:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            msg = f"workload {self.name}: two steps have the same name: {', '.join(names)}"
            raise ValueError(msg)
        return self


def approvers_of(folder: Path) -> tuple[Approver, ...]:
    """The approvers in a workload's folder: `approvers.json`, a list of `Approver`. None where there is no such file.

    Raises:
        pydantic.ValidationError: the file holds something else.
    """
    file = folder / "approvers.json"
    return TypeAdapter(tuple[Approver, ...]).validate_json(file.read_text(encoding="utf-8")) if file.is_file() else ()
