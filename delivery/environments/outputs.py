"""The typed outputs of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from common.errors import UserError
from delivery.stacks.engine_errors import up_command

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Output(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class TrackingOutput(_Output):
    """The address of the MLflow server, reachable from outside the cluster, and the login."""

    url: str
    username: str
    password: str


class TrainingOutput(_Output):
    """The suspended CronJob from which training Jobs are created."""

    namespace: str
    cron_job: str
    image: str


class EndpointOutput(_Output):
    """The address of a workload's endpoint and its stable release."""

    url: str
    version: int
    run: str
    image: str


class Outputs(_Output):
    """The outputs that the commands use. An environment without releases has no endpoints."""

    kubeconfig: str
    registry: str
    serving_image: str
    """The base image of the release images, by digest."""
    tracking: TrackingOutput
    training: dict[str, TrainingOutput] = Field(default_factory=dict)
    endpoints: dict[str, EndpointOutput] = Field(default_factory=dict)


def parse(stack: str, raw: Mapping[str, object]) -> Outputs:
    """Validates the outputs of a stack.

    Raises:
        UserError: outputs are missing, because no update of the stack has completed yet.
    """
    try:
        return Outputs.model_validate(raw)
    except ValidationError as error:
        missing = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        fix = f"run `{up_command(stack)}`"
        raise UserError(f"Stack {stack} is not up.", found=f"outputs missing: {missing}", fix=fix) from None


def training_of(stack: str, outputs: Outputs, workload: str) -> TrainingOutput:
    """Returns the training outputs of a workload.

    Raises:
        UserError: the stack has no workload of that name.
    """
    if workload not in outputs.training:
        raise unknown_workload(stack, workload, outputs.training)
    return outputs.training[workload]


def unknown_workload(stack: str, workload: str, known: Mapping[str, object]) -> UserError:
    """Returns the error for a workload that a stack does not have; `known` has the names that it has."""
    return UserError(
        f"Stack {stack} has no workload of this name.",
        found=workload,
        example=", ".join(sorted(known)),
        fix=f"name one of those, or, if the workload is new, run `pulumi up --stack {stack}`",
    )
