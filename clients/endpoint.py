"""Asks an endpoint for predictions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import httpx

from common.errors import UserError
from common.serving import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an endpoint answered, and as which release."""

    values: list[float]
    """The first value of each row."""
    tags: dict[str, Any]  # JSON of the endpoint


def ask(url: str, request: dict[str, Any]) -> Answer:  # JSON, as the workload's endpoint takes it
    """One prediction.

    Raises:
        UserError: the endpoint does not answer, or refuses.
    """
    try:
        response = httpx.post(f"{url}{PREDICTIONS}", json=request, timeout=30.0, trust_env=False)
    except httpx.HTTPError as error:
        raise UserError("The endpoint does not answer.", where=url, found=error, fix="see `modelstack status`") from None
    if response.is_error:
        raise UserError("The endpoint refuses.", where=url, found=f"{response.status_code}: {response.text[:500]}")
    body = cast("dict[str, Any]", response.json())  # JSON of the endpoint
    rows = cast("list[list[float]]", body["data"]["ndarray"])
    return Answer(values=[float(row[0]) for row in rows], tags=body.get("meta", {}).get("tags", {}))


def wait(  # noqa: PLR0913 the last two are for tests
    url: str,
    request: dict[str, Any],  # JSON, as the workload's endpoint takes it
    progress: Progress,
    *,
    version: int,
    seconds: float = 90.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """The endpoint's answer once `version` answers.

    Raises:
        UserError: that takes too long; the message holds the last refusal.
    """
    with progress.step(f"endpoint {url}") as step:
        last: object = None
        waited = 0.0
        while waited <= seconds:
            try:
                answer = ask(url, request)
            except UserError as error:
                last = error.found
            else:
                found = answer.tags.get("version")
                if str(found) == str(version):
                    step.note(f"version {version}")
                    return answer
                last = f"it still answers as version {found}"
            step.note(str(last))
            sleep(1.0)
            waited += 1.0
        what = f"The endpoint does not answer as version {version}."
        raise UserError(what, where=url, found=last, fix="see `modelstack status`, then run `make up` again")
