"""Requests as fast as a server answers them, from wrk."""

from __future__ import annotations

import json
import statistics
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests import debian

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format('\\n{"requests": %%d, "microseconds": %%d, "p50": %%d, "p99": %%d, "errors": %%d}\\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to ask where."""

    name: str
    url: str
    body: object


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a server bore. Latencies in milliseconds."""

    rate: float
    """Requests per second."""
    p50: float
    p99: float


def once(target: Target, folder: Path, *, seconds: int, connections: int = 4, prefix: Sequence[str] = ()) -> Load:
    """Loads a server for some seconds. `prefix` is put before the command, for example to enter a namespace."""
    script = folder / "wrk.lua"
    script.write_text(_SCRIPT % json.dumps(target.body))
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "10s"]
    command = [*prefix, debian.program("wrk"), *options, "--script", str(script), target.url]
    done = subprocess.run(command, env=debian.environment(), capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.rpartition("{")[1] + done.stdout.rpartition("{")[2])
    assert figures["errors"] == 0, f"{target.name}: {figures['errors']} of {figures['requests']} requests failed"
    assert figures["requests"] > 0, f"{target.name} answered nothing: {done.stdout}"
    rate = figures["requests"] / figures["microseconds"] * 1e6
    return Load(rate=rate, p50=figures["p50"] / 1e3, p99=figures["p99"] / 1e3)


def rounds(
    targets: Sequence[Target], folder: Path, *, seconds: int, times: int, prefix: Sequence[str] = ()
) -> Mapping[str, Load]:
    """Loads each server in turn, several times round, so that what else the machine does meets all of them. Medians by name."""
    loads: dict[str, list[Load]] = {target.name: [] for target in targets}
    for _ in range(times):
        for target in targets:
            loads[target.name].append(once(target, folder, seconds=seconds, prefix=prefix))
    return {name: median(each) for name, each in loads.items()}


def median(loads: Sequence[Load]) -> Load:
    """Of each figure."""
    return Load(
        rate=statistics.median(load.rate for load in loads),
        p50=statistics.median(load.p50 for load in loads),
        p99=statistics.median(load.p99 for load in loads),
    )
