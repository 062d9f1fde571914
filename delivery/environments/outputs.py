"""What a stack tells the commands: its outputs, typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Output(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class TrackingOutput(_Output):
    """The MLflow server as seen from outside the cluster."""

    url: str
    username: str
    password: str


class TrainingOutput(_Output):
    """The suspended CronJob that training runs are made from."""

    namespace: str
    cron_job: str
    image: str


class EndpointOutput(_Output):
    """Where a workload answers, and with what."""

    url: str
    version: int
    run: str
    image: str


class Outputs(_Output):
    """All that the commands rely on. An environment without releases has no endpoints."""

    kubeconfig: str
    registry: str
    serving_image: str
    """The image that release images are built on, by digest."""
    tracking: TrackingOutput
    training: dict[str, TrainingOutput] = Field(default_factory=dict)
    endpoints: dict[str, EndpointOutput] = Field(default_factory=dict)


def read(stack: str, raw: Mapping[str, object]) -> Outputs:
    """Types a stack's outputs.

    Raises:
        UserError: the stack has not been updated to its end yet.
    """
    try:
        return Outputs.model_validate(raw)
    except ValidationError as error:
        missing = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        raise UserError(f"Stack {stack} is not up.", found=f"outputs missing: {missing}", fix="run `make up`") from None


def training_of(stack: str, outputs: Outputs, workload: str) -> TrainingOutput:
    """Where a workload is trained.

    Raises:
        UserError: the stack knows none of that name.
    """
    if workload not in outputs.training:
        raise unknown_workload(stack, workload, outputs.training)
    return outputs.training[workload]


def unknown_workload(stack: str, workload: str, known: Mapping[str, object]) -> UserError:
    """The refusal of a workload that a stack does not know."""
    return UserError(
        f"Stack {stack} knows no workload of this name.",
        found=workload,
        example=", ".join(sorted(known)),
        fix=f"name one of those; where it was declared since: pulumi up --stack {stack}",
    )
