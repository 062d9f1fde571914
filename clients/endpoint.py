"""The client of an endpoint: requests predictions over HTTP."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import httpx

from common.errors import UserError
from common.serving import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.progress import Progress

_FIX: Final = "see `modelstack status`, then run the same command again"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The response of an endpoint to one request."""

    values: list[float]
    """The first value of each row."""
    tags: dict[str, Any]  # JSON of the endpoint
    """Identify the release that made the prediction: workload, version, run."""


def predict(url: str, request: dict[str, Any]) -> Prediction:  # JSON in the format of the workload's endpoint
    """Sends one request and returns the prediction.

    Raises:
        UserError: the endpoint does not answer, refuses the request, or answers with something else than a prediction.
    """
    try:
        response = httpx.post(f"{url}{PREDICTIONS}", json=request, timeout=30.0, trust_env=False)
    except httpx.HTTPError as error:
        raise UserError("The endpoint does not answer.", where=url, found=error, fix=_FIX) from None
    if not response.is_success:
        found = f"{response.status_code}: {response.text[:500]}"
        raise UserError("The endpoint refuses the request.", where=url, found=found, fix=_FIX)
    try:
        body = cast("dict[str, Any]", response.json())  # JSON of the endpoint
        rows = cast("list[list[float]]", body["data"]["ndarray"])
        return Prediction(values=[float(row[0]) for row in rows], tags=dict(body.get("meta", {}).get("tags", {})))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        fix = "check whether a proxy or another program answers at this address"
        found = response.text[:100] or "an empty body"
        raise UserError("The response does not come from an endpoint.", where=url, found=found, fix=fix) from None


def wait_for_version(  # noqa: PLR0913 the last two are for tests
    url: str,
    request: dict[str, Any],  # JSON in the format of the workload's endpoint
    progress: Progress,
    *,
    version: int,
    seconds: float = 90.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Prediction:
    """Repeats a request every second until `version` answers, and returns that prediction.

    Raises:
        UserError: `version` does not answer within about `seconds`; the message contains the last error.
    """
    with progress.step(f"endpoint {url}") as step:
        last: object = None
        waited = 0.0
        while waited <= seconds:
            try:
                prediction = predict(url, request)
            except UserError as error:
                last = error.found
            else:
                answering = prediction.tags.get("version")
                if str(answering) == str(version):
                    step.note(f"version {version}")
                    return prediction
                last = f"version {answering} still answers"
            step.note(str(last))
            sleep(1.0)
            waited += 1.0
        what = f"Version {version} does not answer at the endpoint."
        raise UserError(what, where=url, found=last, fix="see `modelstack status`, then run `make up` again")
