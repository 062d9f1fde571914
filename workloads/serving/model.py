"""The component that seldon-core's microservice serves. `__main__.py` starts it."""

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
    """Answers requests for predictions of one release. Every answer contains the identity of the release.

    seldon-core finds the methods by name. This class uses `predict_raw` for predictions, and the blueprint
    `model_error_handler` for hooks before and after requests. seldon-core registers that blueprint before its own routes.
    """

    def __init__(self) -> None:
        folder, release = Path(os.environ.get(MODEL_ENV, DEFAULT_MODEL)), Path(os.environ.get(RELEASE_ENV, DEFAULT_RELEASE))
        try:
            self._model: Model = load(folder, release)
        except ModelError as error:
            # The constructor runs before any process is forked or any port is opened, so an exit here leaves nothing running.
            raise SystemExit(f"This model cannot be served.\n  {error}") from None
        identity = self._model.identity
        self._meta = {"tags": identity.tags()}
        self._headers = identity.headers()
        self._metrics = RequestMetrics(identity.tags())
        self._recording = recording.Recording()
        # seldon-core calls this class when it creates its metrics, which happens later.
        seldon_core.microservice.SeldonMetrics = self._create_metrics
        self.model_error_handler = self._blueprint()

    def predict_raw(self, message: object) -> bytes:
        """Returns the answer to a request's body."""
        if failure := request.environ.get(FAILURE):
            raise failure
        if not isinstance(message, bytes):
            raise RequestError("send the request as JSON in the body", example=self._model.reader.example)
        answer, request.environ[_ROWS] = self._answer(message, request.headers.get("X-Request-ID", ""))
        return answer

    def custom_service(self) -> None:
        """Shows the recorded answers. seldon-core runs this method in a separate process."""
        recording.serve(self._recording, int(os.environ.get(RECORDED_PORT_ENV, RECORDED_PORT)))

    def health_status_raw(self) -> dict[str, Any]:
        """Predicts the example. A worker that can answer this can answer requests."""
        names, rows = self._predict(self._model.reader.example_columns)
        return {"data": {"names": list(names), "ndarray": rows.tolist()}, "meta": self._meta}

    def init_metadata(self) -> dict[str, Any]:
        """Returns the content of `/metadata`."""
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

    def _create_metrics(self, worker_id_func: Callable[[], int]) -> RequestMetrics:
        """Replaces the constructor of seldon-core's class, and has the same parameter."""
        del worker_id_func
        return self._metrics

    def _answer(self, body: bytes, request_id: str) -> tuple[bytes, int]:
        """Returns the answer to a body, and its number of rows. `request_id` is the id that the router set, or empty."""
        names, rows = self._predict(self._model.reader.read(body))
        listed = rows.tolist()
        self._record(request_id, [row[0] for row in listed])
        return orjson.dumps({"data": {"names": list(names), "ndarray": listed}, "meta": self._meta}), len(listed)

    def _record(self, request_id: str, values: Sequence[float]) -> None:
        """Counts the first column of an answer, and records it if the request has an id."""
        self._metrics.count_answer(values)
        if request_id:
            self._recording.record(request_id, values)

    def _predict(self, columns: Columns) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
        try:
            return self._model.predict(columns)
        except RequestError:
            raise
        except Exception as error:
            # Without this, seldon-core would show the exception's text to the caller.
            raise _PredictionError from error

    def _blueprint(self) -> Blueprint:
        blueprint = Blueprint("modelstack", __name__)
        blueprint.before_app_request(_read_body)
        blueprint.after_app_request(self._add_identity)
        blueprint.app_errorhandler(RequestError)(self._refusal)
        blueprint.app_errorhandler(HTTPException)(self._http_refusal)
        blueprint.app_errorhandler(_PredictionError)(self._failure)
        blueprint.record_once(self._install_fast_path)
        return blueprint

    def _install_fast_path(self, state: BlueprintSetupState) -> None:
        """Puts the middleware `Predictions` before the Flask application with which the blueprint is registered."""
        state.app.wsgi_app = Predictions(
            state.app.wsgi_app,
            answer=self._answer,
            headers=self._headers,
            count=lambda rows, seconds: self._metrics.count_request(code=HTTPStatus.OK, rows=rows, seconds=seconds),
        )

    def _add_identity(self, response: Response) -> Response:
        response.headers.extend(self._headers)
        started = request.environ.get(_START)
        if started is not None and request.path in PATHS:
            rows = request.environ.get(_ROWS, 0)
            self._metrics.count_request(code=response.status_code, rows=rows, seconds=time.perf_counter() - started)
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
        """Returns a failure in Seldon's format. The status comes first, because examples are long and may be cut off."""
        body: dict[str, Any] = {
            "status": {"code": status, "info": info, "reason": status.name, "status": "FAILURE"},
            "meta": self._meta,
        }
        return Response(json.dumps(body | ({"error": error} if error else {})) + "\n", status, mimetype="application/json")


def _read_body() -> None:
    """Reads the body, up to the allowed size.

    Raises:
        RequestError: the body is larger than allowed.
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
    request.get_data()  # before seldon-core parses a form, which would consume the body


class _PredictionError(Exception):
    """The model or its code failed on a valid request."""
