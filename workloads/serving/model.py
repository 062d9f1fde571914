"""The component that seldon-core's microservice serves (see `__main__.py` for how it is started)."""

from __future__ import annotations

import json
import logging
import os
import time
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import seldon_core.microservice
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from common.serving import MAX_BODY_BYTES, RECORDED_PORT
from workloads.serving import recording
from workloads.serving.errors import ModelError, RequestError
from workloads.serving.loading import Model, load
from workloads.serving.metrics import RequestMetrics
from workloads.serving.predictions import FAILURE, PATHS, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt
    from flask.blueprints import BlueprintSetupState

    from workloads.serving.contract import Columns

MODEL_ENV = "MODELSTACK_MODEL"
RELEASE_ENV = "MODELSTACK_RELEASE"
RECORDED_PORT_ENV = "MODELSTACK_RECORDED_PORT"
DEFAULT_MODEL = "/model"
DEFAULT_RELEASE = "/release.json"

_START = "modelstack.start"
_ROWS = "modelstack.rows"

log = logging.getLogger(__name__)


class ServedModel:
    """Answers predictions of one release, and says of which in every answer.

    seldon-core finds the methods by name. Its ways in that are used here: `predict_raw` for predictions, and the blueprint
    `model_error_handler`, which it registers before its own routes, for what happens before and after them.
    """

    def __init__(self) -> None:
        folder, release = Path(os.environ.get(MODEL_ENV, DEFAULT_MODEL)), Path(os.environ.get(RELEASE_ENV, DEFAULT_RELEASE))
        try:
            self._model: Model = load(folder, release)
        except ModelError as error:
            # The constructor runs before any process is forked or port opened: leaving here, nothing is half up.
            raise SystemExit(f"This model cannot be served.\n  {error}") from None
        identity = self._model.identity
        self._meta = {"tags": identity.tags()}
        self._headers = identity.headers()
        self._metrics = RequestMetrics(identity.tags())
        self._recording = recording.Recording()
        # seldon-core looks the class up when it makes its metrics, which is after this.
        seldon_core.microservice.SeldonMetrics = self._take_metrics
        self.model_error_handler = self._blueprint()

    def predict_raw(self, message: object) -> bytes:
        """The answer to a request's body."""
        if failure := request.environ.get(FAILURE):
            raise failure
        if not isinstance(message, bytes):
            raise RequestError("send the request as JSON in the body", example=self._model.reader.example)
        answer, request.environ[_ROWS] = self._answer(message, request.headers.get("X-Request-ID", ""))
        return answer

    def custom_service(self) -> None:
        """Run by seldon-core in a process of its own."""
        recording.serve(self._recording, int(os.environ.get(RECORDED_PORT_ENV, RECORDED_PORT)))

    def health_status_raw(self) -> dict[str, Any]:
        """Predicts the example: a worker that answers this can answer requests."""
        names, rows = self._predict(self._model.reader.example_columns)
        return {"data": {"names": list(names), "ndarray": rows.tolist()}, "meta": self._meta}

    def init_metadata(self) -> dict[str, Any]:
        """For `/metadata`."""
        identity, code = self._model.identity, self._model.code
        names, _ = self._model.predict(self._model.reader.example_columns)
        return {
            "name": identity.workload,
            "versions": [identity.version],
            "platform": "onnx",
            "inputs": [{"messagetype": "ndarray", "schema": {"names": list(code.REQUEST_COLUMNS)}}],
            "outputs": [{"messagetype": "ndarray", "schema": {"names": list(names)}}],
            "custom": {"run": identity.run},
        }

    def _take_metrics(self, worker_id_func: Callable[[], int]) -> RequestMetrics:
        """Called like seldon-core's class."""
        del worker_id_func
        return self._metrics

    def _answer(self, body: bytes, name: str) -> tuple[bytes, int]:
        """The answer to a body, and the number of its rows. `name` is the id that the router gave the request, if it did."""
        names, rows = self._predict(self._model.reader.read(body))
        listed = rows.tolist()
        self._note(name, [row[0] for row in listed])
        return orjson.dumps({"data": {"names": list(names), "ndarray": listed}, "meta": self._meta}), len(listed)

    def _note(self, name: str, values: Sequence[float]) -> None:
        """Counts an answer's first column, and keeps it if the request has an id."""
        self._metrics.answered(values)
        if name:
            self._recording.keep(name, values)

    def _predict(self, columns: Columns) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
        try:
            return self._model.predict(columns)
        except RequestError:
            raise
        except Exception as error:
            # seldon-core would answer with the exception's text.
            raise _PredictionError from error

    def _blueprint(self) -> Blueprint:
        blueprint = Blueprint("modelstack", __name__)
        blueprint.before_app_request(_take_body)
        blueprint.after_app_request(self._sign)
        blueprint.app_errorhandler(RequestError)(self._refusal)
        blueprint.app_errorhandler(HTTPException)(self._http_refusal)
        blueprint.app_errorhandler(_PredictionError)(self._failure)
        blueprint.record_once(self._put_before)
        return blueprint

    def _put_before(self, state: BlueprintSetupState) -> None:
        """Puts the short way before the application that the blueprint is registered with."""
        state.app.wsgi_app = Predictions(
            state.app.wsgi_app,
            answer=self._answer,
            headers=self._headers,
            note=lambda rows, seconds: self._metrics.note(code=HTTPStatus.OK, rows=rows, seconds=seconds),
        )

    def _sign(self, response: Response) -> Response:
        response.headers.extend(self._headers)
        started = request.environ.get(_START)
        if started is not None and request.path in PATHS:
            rows = request.environ.get(_ROWS, 0)
            self._metrics.note(code=response.status_code, rows=rows, seconds=time.perf_counter() - started)
        return response

    def _refusal(self, error: RequestError) -> Response:
        return self._status(error.status, error.sentence, error.parts())

    def _http_refusal(self, error: HTTPException) -> Response:
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        return self._status(status, f"{request.method} {request.path}: {status.phrase.lower()}")

    def _failure(self, error: _PredictionError) -> Response:
        log.error("A request failed", exc_info=error.__cause__)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return self._status(status, "the model failed on this request; the reason is in the service's log")

    def _status(self, status: HTTPStatus, info: str, error: dict[str, Any] | None = None) -> Response:
        """A failure in Seldon's form. What happened comes first, for those who see only the start; an example is long."""
        body: dict[str, Any] = {
            "status": {"code": status, "info": info, "reason": status.name, "status": "FAILURE"},
            "meta": self._meta,
        }
        return Response(json.dumps(body | ({"error": error} if error else {})) + "\n", status, mimetype="application/json")


def _take_body() -> None:
    """Reads the body, at most so much of it as is allowed.

    Raises:
        RequestError: it is larger.
    """
    request.environ[_START] = time.perf_counter()
    length = request.content_length or 0
    body = b"" if length > MAX_BODY_BYTES else request.environ["wsgi.input"].read(MAX_BODY_BYTES + 1)
    if length > MAX_BODY_BYTES or len(body) > MAX_BODY_BYTES:
        raise RequestError(
            f"the request is larger than {MAX_BODY_BYTES} bytes: send its rows in parts",
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            found=f"{length} bytes" if length else None,
        )
    request.environ["wsgi.input"] = BytesIO(body)
    request.get_data()  # before seldon-core looks for a form, which would use the body up


class _PredictionError(Exception):
    """The model or its code failed on a request that was in order."""
