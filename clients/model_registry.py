"""The client of an environment's model registry (MLflow): looks up versions, runs, artifacts and back-test reports."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import httpx

from common.errors import UserError
from workloads import evidence

if TYPE_CHECKING:
    from collections.abc import Generator

    from mlflow import MlflowClient

REPORT = "backtest/report.json"
HELD_OUT = "held_out.json"
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Programs read the standard output of commands: MLflow must not print to it.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Variables that configure MLflow's library."""
_TAG = "modelstack."


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A registered model version. `tags` are the tags of its run that begin with `modelstack.`, without that prefix."""

    name: str
    version: int
    run: str
    tags: dict[str, str] = field(default_factory=dict[str, str])

    def tag(self, name: str) -> str:
        """Returns a tag that every version must have before it can be released.

        Raises:
            UserError: the run does not have the tag.
        """
        if name not in self.tags:
            raise UserError(
                f"Version {self.version} of {self.name} cannot be released: its run does not record where it comes from.",
                where=f"run {self.run}",
                found=f"no tag {_TAG}{name}",
                fix=f"train a new version with `modelstack train {self.name}`",
            )
        return self.tags[name]


class VersionLookup(Protocol):
    """The part of a model registry that looks up versions. See `ModelRegistry`."""

    def newest(self, name: str) -> ModelVersion | None: ...
    def version(self, name: str, version: int) -> ModelVersion | None: ...


def find_version(registry: VersionLookup, name: str, version: int | None) -> ModelVersion:
    """Returns a registered version. If `version` is None, returns the newest one.

    Raises:
        UserError: the version is not registered, or no version is.
    """
    model = registry.newest(name) if version is None else registry.version(name, version)
    if model is None:
        what = f"No version of {name} is registered." if version is None else f"{name} has no version {version}."
        raise UserError(what, fix=f"train one with `modelstack train {name}`")
    return model


class ModelRegistry:
    """The client of the model registry of an MLflow tracking server."""

    def __init__(self, url: str, username: str, password: str) -> None:
        """Stores the address and the account, and sends no request. `connect` checks that the server answers."""
        self.url = url
        self._variables = {
            # MLflow resolves `models:/` addresses with these variables, also in calls that do not use `self.client`.
            "MLFLOW_TRACKING_URI": url,
            "MLFLOW_REGISTRY_URI": url,
            "MLFLOW_TRACKING_USERNAME": username,
            "MLFLOW_TRACKING_PASSWORD": password,
            **SETTINGS,
        }

    @classmethod
    def connect(cls, url: str, username: str, password: str) -> ModelRegistry:
        """Creates the client after checking that the server answers.

        Raises:
            UserError: the server does not answer.
        """
        fix = "run `modelstack status`; `make up` repairs an incomplete environment"
        try:
            response = httpx.get(f"{url}/health", timeout=10.0, trust_env=False).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UserError("MLflow does not answer.", where=url, found=error, fix=fix) from None
        if response.text.strip() != "OK":
            raise UserError("The server that answers is not MLflow.", where=url, found=response.text[:100], fix=fix)
        return cls(url, username, password)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's own client."""
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        with self.session():
            return MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    def newest(self, name: str) -> ModelVersion | None:
        """Returns the newest version of a model, or None if no version is registered."""
        with self.session():
            matches = self.client.search_model_versions(f"name='{name}'", max_results=1, order_by=["version_number DESC"])
            return self._version(name, int(matches[0].version), str(matches[0].run_id)) if matches else None

    def version(self, name: str, version: int) -> ModelVersion | None:
        """Returns a version of a model, or None if it is not registered."""
        with self.session():
            matches = self.client.search_model_versions(f"name='{name}' and version_number = {version}", max_results=1)
            if not matches:
                # Some servers cannot filter by version number: read all versions and filter here.
                every = self.client.search_model_versions(f"name='{name}'")
                matches = [entry for entry in every if int(entry.version) == version]
            return self._version(name, version, str(matches[0].run_id)) if matches else None

    def download(self, model: ModelVersion, folder: Path) -> None:
        """Downloads the artifacts of a version into `folder`, and creates the folder if it is missing."""
        from mlflow.artifacts import download_artifacts

        folder.mkdir(parents=True, exist_ok=True)
        with self.session():
            download_artifacts(
                artifact_uri=f"models:/{model.name}/{model.version}", dst_path=str(folder), tracking_uri=self.url
            )

    def artifact(self, run: str, path: str) -> bytes:
        """Returns the content of an artifact of a run. `path` is relative to the run's artifact folder.

        Raises:
            UserError: the run does not have the artifact, or the server fails.
        """
        import tempfile

        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory() as folder:
            try:
                with self.session():
                    file = download_artifacts(run_id=run, artifact_path=path, dst_path=folder, tracking_uri=self.url)
                    return Path(file).read_bytes()
            except OSError as error:
                raise UserError("A run lacks an artifact.", where=f"run {run}", found=f"{path}: {error}") from None

    def report(self, model: ModelVersion) -> tuple[str, dict[str, float], str | None]:
        """Returns the digest of a version's back-test report, its metrics and the last day of its data.

        The last day is None if the report does not contain it.

        Raises:
            UserError: see `report_content`.
        """
        digest, content = self.report_content(model)
        report = cast("dict[str, Any]", json.loads(content))  # JSON of the run
        metrics = cast("dict[str, float]", report.get("metrics") or {})
        return digest, {name: round(float(value), 6) for name, value in metrics.items()}, report.get("data_day")

    def report_content(self, model: ModelVersion) -> tuple[str, bytes]:
        """Returns the digest and the content of a version's back-test report, after checking the digest.

        Raises:
            UserError: the run does not have the report, or the report differs from the digest that the run recorded.
        """
        content = self.artifact(model.run, REPORT)
        digest = evidence.digest(content)
        if digest != model.tag("report"):
            raise UserError(
                f"The back-test report of version {model.version} of {model.name} has changed since its run recorded it.",
                where=f"run {model.run}, {REPORT}",
                found=digest,
                example=model.tag("report"),
                fix=f"restore the report with `modelstack backtest {model.name} --version {model.version}`",
            )
        return digest, content

    @contextlib.contextmanager
    def session(self) -> Generator[None]:
        """Sets the variables that MLflow's library reads, and raises MLflow's errors as `UserError`.

        Raises:
            UserError: MLflow does not have the requested object, or fails.
        """
        from mlflow.exceptions import MlflowException

        os.environ |= self._variables
        try:
            yield
        except MlflowException as error:
            missing = error.error_code == "RESOURCE_DOES_NOT_EXIST"
            what = "MLflow does not have the requested object." if missing else "MLflow failed; nothing was changed."
            message = str(error).splitlines()[0]
            fix = "check whether somebody has deleted it" if missing else "run `modelstack status`, then the same command again"
            raise UserError(what, where=self.url, found=message, fix=fix) from None

    def _version(self, name: str, version: int, run: str) -> ModelVersion:
        run_tags = self.client.get_run(run).data.tags
        tags = {key.removeprefix(_TAG): value for key, value in run_tags.items() if key.startswith(_TAG)}
        return ModelVersion(name=name, version=version, run=run, tags=tags)
