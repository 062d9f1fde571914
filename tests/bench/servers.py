"""The servers that are measured, as bare processes with two workers each, on one model."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx

from common import paths
from common.serving import PREDICTIONS
from components.serving import router_config
from tests import debian
from tests.bench.load import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SERVING = paths.STATE / "venv-serving" / "bin"
OTHERS = paths.STATE / "venv-bench" / "bin"
OTHERS_ENVIRONMENT = {
    "PATH": f"{OTHERS}:{os.environ['PATH']}",
    # The workers of each would otherwise start a thread per core for every row, and wait for one another.
    "OMP_NUM_THREADS": "1",
}
WORKERS = 2
ANSWERS_WITHIN = 120.0


@contextmanager
def service(folder: Path) -> Iterator[Target]:
    """Our microservice, without a router."""
    port, metrics, recorded = _free_ports(3)
    environment = {
        "MODELSTACK_MODEL": str(folder / "seldon" / "model"),
        "MODELSTACK_RELEASE": str(folder / "seldon" / "release.json"),
        "GUNICORN_WORKERS": str(WORKERS),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(port),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(metrics),
        "MODELSTACK_RECORDED_PORT": str(recorded),
    }
    target = Target(name="pod", url=f"http://127.0.0.1:{port}{PREDICTIONS}", body=_json(folder / "request.json"))
    with _running([str(SERVING / "python"), "-m", "workloads.serving"], folder / "seldon.log", target, environment):
        yield target


@contextmanager
def router(folder: Path, behind: Target) -> Iterator[Target]:
    """NGINX as the endpoint configures it, before the microservice."""
    (port,) = _free_ports(1)
    stable = router_config.Target(variant="stable", address=httpx.URL(behind.url).netloc.decode())
    text = router_config.config(router_config.Routes(workload="bench", stable=stable), port=port, scratch=str(folder))
    (folder / "nginx.conf").write_text(text)
    command = [
        debian.program("nginx"),
        "-e",
        "stderr",
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-g",
        "daemon off;",
    ]
    target = Target(name="router", url=f"http://127.0.0.1:{port}{PREDICTIONS}", body=behind.body)
    with _running(command, folder / "nginx.log", target):
        yield target


@contextmanager
def mlflow(folder: Path) -> Iterator[Target]:
    """`mlflow models serve` on the scikit-learn flavour."""
    (port,) = _free_ports(1)
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)]
    command = [str(OTHERS / "mlflow"), "models", "serve", "--model-uri", str(folder / "mlflow"), *options]
    target = Target(name="mlflow", url=f"http://127.0.0.1:{port}/invocations", body={"inputs": _json(folder / "features.json")})
    with _running(command, folder / "mlflow.log", target, OTHERS_ENVIRONMENT):
        yield target


@contextmanager
def mlserver(folder: Path) -> Iterator[Target]:
    """MLServer on the scikit-learn flavour."""
    http, grpc, metrics = _free_ports(3)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": WORKERS}
    (folder / "mlserver" / "settings.json").write_text(json.dumps({**settings, "debug": False}))
    (row,) = _json(folder / "features.json")
    tensor = {"name": "input", "shape": [1, len(row)], "datatype": "FP32", "data": row}
    target = Target(name="mlserver", url=f"http://127.0.0.1:{http}/v2/models/bench/infer", body={"inputs": [tensor]})
    command = [str(OTHERS / "mlserver"), "start", str(folder / "mlserver")]
    with _running(command, folder / "mlserver.log", target, OTHERS_ENVIRONMENT):
        yield target


@contextmanager
def _running(command: Sequence[str], log: Path, target: Target, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """A process that answers `target`; in a session of its own, which ends as a whole, and with this process at the latest."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            cwd=paths.CHECKOUT,
            env={**os.environ, **(environment or {})},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await(process, log, target)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        _end_session(process.pid)


def _await(process: subprocess.Popen[bytes], log: Path, target: Target) -> None:
    until = time.monotonic() + ANSWERS_WITHIN
    last: object = None
    while time.monotonic() < until:
        assert process.poll() is None, f"{target.name} ended: {log.read_text()[-2000:]}"
        try:
            answer = httpx.post(target.url, json=target.body, timeout=10.0, trust_env=False)
        except httpx.HTTPError as error:
            last = error
        else:
            if answer.is_success:
                return
            last = answer.text[:500]
        time.sleep(0.2)
    raise AssertionError(f"{target.name} does not answer: {last}\n{log.read_text()[-2000:]}")


def _end_session(leader: int) -> None:
    """Workers that outlive their parent."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _json(file: Path) -> Any:
    return json.loads(file.read_text())


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
