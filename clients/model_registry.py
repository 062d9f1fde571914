"""The model registry of an environment: MLflow, as far as releases need it."""

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
    # On standard output is what the command says, for programs too.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""How MLflow's library is to behave."""
_TAG = "modelstack."


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A registered version and what its run says about itself. `tags` are the run's, without the prefix `modelstack.`."""

    name: str
    version: int
    run: str
    tags: dict[str, str] = field(default_factory=dict[str, str])

    def tag(self, name: str) -> str:
        """A tag that every version we release must have.

        Raises:
            UserError: the run lacks it.
        """
        if name not in self.tags:
            raise UserError(
                f"Version {self.version} of {self.name} cannot be released: its run does not say where it comes from.",
                where=f"run {self.run}",
                found=f"no tag {_TAG}{name}",
                fix=f"train it with `modelstack train {self.name}`",
            )
        return self.tags[name]


class VersionLookup(Protocol):
    """A model registry, as far as versions are looked up in it. See `ModelRegistry`."""

    def newest(self, name: str) -> ModelVersion | None: ...
    def version(self, name: str, version: int) -> ModelVersion | None: ...


def find_version(registry: VersionLookup, name: str, version: int | None) -> ModelVersion:
    """A registered version, the newest unless told.

    Raises:
        UserError: there is none.
    """
    model = registry.newest(name) if version is None else registry.version(name, version)
    if model is None:
        what = f"No version of {name} is registered." if version is None else f"{name} has no version {version}."
        raise UserError(what, fix=f"train one with `modelstack train {name}`")
    return model


class ModelRegistry:
    """The model registry behind a tracking server."""

    def __init__(self, url: str, username: str, password: str) -> None:
        """Remembers address and account. Nothing is asked yet: see `connect`."""
        self.url = url
        self._variables = {
            # `models:/` addresses are looked up by the environment's registry, whatever client asks.
            "MLFLOW_TRACKING_URI": url,
            "MLFLOW_REGISTRY_URI": url,
            "MLFLOW_TRACKING_USERNAME": username,
            "MLFLOW_TRACKING_PASSWORD": password,
            **SETTINGS,
        }

    @classmethod
    def connect(cls, url: str, username: str, password: str) -> ModelRegistry:
        """The registry of a server that answers.

        Raises:
            UserError: the server does not answer.
        """
        try:
            httpx.get(f"{url}/health", timeout=10.0, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            fix = "run `modelstack status`; `make up` mends an environment that is half there"
            raise UserError("MLflow does not answer.", where=url, found=error, fix=fix) from None
        return cls(url, username, password)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's own client."""
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        with self.session():
            return MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    def newest(self, name: str) -> ModelVersion | None:
        """The newest version of a model; None where none is registered."""
        with self.session():
            found = self.client.search_model_versions(f"name='{name}'", max_results=1, order_by=["version_number DESC"])
            return self._version(name, int(found[0].version), str(found[0].run_id)) if found else None

    def version(self, name: str, version: int) -> ModelVersion | None:
        """A version of a model; None where it is not registered."""
        with self.session():
            found = self.client.search_model_versions(f"name='{name}' and version_number = {version}", max_results=1)
            if not found:
                # Servers that cannot filter by number list them all.
                every = self.client.search_model_versions(f"name='{name}'")
                found = [entry for entry in every if int(entry.version) == version]
            return self._version(name, version, str(found[0].run_id)) if found else None

    def download(self, model: ModelVersion, folder: Path) -> None:
        """Puts the version's artifact folder at `folder`."""
        from mlflow.artifacts import download_artifacts

        folder.mkdir(parents=True, exist_ok=True)
        with self.session():
            download_artifacts(
                artifact_uri=f"models:/{model.name}/{model.version}", dst_path=str(folder), tracking_uri=self.url
            )

    def artifact(self, run: str, path: str) -> bytes:
        """The content of one of a run's artifacts.

        Raises:
            UserError: the run has none of that name, or the server does not say.
        """
        import tempfile

        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory() as folder:
            try:
                with self.session():
                    found = download_artifacts(run_id=run, artifact_path=path, dst_path=folder, tracking_uri=self.url)
                    return Path(found).read_bytes()
            except OSError as error:
                raise UserError("A run lacks an artifact.", where=f"run {run}", found=f"{path}: {error}") from None

    def report(self, model: ModelVersion) -> tuple[str, dict[str, float], str | None]:
        """Digest and metrics of the version's back-test report, and the last day of its data: None where it does not say that.

        Raises:
            UserError: as `report_content` does.
        """
        digest, content = self.report_content(model)
        report = cast("dict[str, Any]", json.loads(content))  # JSON of the run
        metrics = cast("dict[str, float]", report.get("metrics") or {})
        return digest, {name: round(float(value), 6) for name, value in metrics.items()}, report.get("data_day")

    def report_content(self, model: ModelVersion) -> tuple[str, bytes]:
        """The version's back-test report and its digest, which is the one that the run recorded.

        Raises:
            UserError: the report was changed after it was recorded.
        """
        content = self.artifact(model.run, REPORT)
        digest = evidence.digest(content)
        if digest != model.tag("report"):
            raise UserError(
                f"The back-test report of version {model.version} of {model.name} is not the one that its run recorded.",
                where=f"run {model.run}, {REPORT}",
                found=digest,
                example=model.tag("report"),
                fix=f"make it again with `modelstack backtest {model.name} --version {model.version}`",
            )
        return digest, content

    @contextlib.contextmanager
    def session(self) -> Generator[None]:
        """MLflow's errors in our terms, and this registry's address and password where its library looks for them."""
        from mlflow.exceptions import MlflowException

        os.environ |= self._variables
        try:
            yield
        except MlflowException as error:
            missing = error.error_code == "RESOURCE_DOES_NOT_EXIST"
            what = "MLflow does not have what was asked for." if missing else "MLflow failed; nothing was changed."
            found = str(error).splitlines()[0]
            fix = "see that nobody has deleted it" if missing else "run `modelstack status`, then the same command again"
            raise UserError(what, where=self.url, found=found, fix=fix) from None

    def _version(self, name: str, version: int, run: str) -> ModelVersion:
        tags = self.client.get_run(run).data.tags
        ours = {key.removeprefix(_TAG): value for key, value in tags.items() if key.startswith(_TAG)}
        return ModelVersion(name=name, version=version, run=run, tags=ours)
