"""Many workloads in one stack: what a preview and an update that finds nothing to do take, beside the engine's floor.

The floor is a program with as many bare resources of the same plugin: ConfigMaps of one line. A second one declares the very
objects of the workloads, bare: no components, no types, no dependencies, and nothing of pulumi_kubernetes imported. Each runs
on a real API server of its own that has no node, so that nothing waits for pods. `make bench-scale WORKLOADS="1 10 100 1000"`:
a thousand are measured once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console
from rich.table import Table

from common import paths
from delivery.stacks import backend, variables
from tests.bench.endpoint import verdict
from tests.bench.preview import BARE, PROJECT
from tests.engine.harness.control_plane import control_plane

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES = (1, 10, 100)
RATIO = 1.2
ROUNDS = 3
LARGE = 300
"""Above so many workloads, one round has to do."""
POLL_SECONDS = 0.1
_WORKLOADS = """import pulumi
from components.serving.endpoint import Endpoint, EndpointArgs
from components.serving.variant import Capacity, ServedRelease

def unawaited(args):
    if args.type_.startswith("kubernetes:"):
        args.props["metadata"].setdefault("annotations", {})["pulumi.com/skipAwait"] = "true"
    return pulumi.ResourceTransformationResult(args.props, args.opts)

pulumi.runtime.register_stack_transformation(unawaited)
image = "registry.example/image@sha256:" + 64 * "0"
capacity = Capacity(cpu="100m", memory="128Mi", workers=1, min_replicas=1, max_replicas=2, target_cpu_percent=70)
for number in range(%d):
    served = ServedRelease(image=image, version=1, run=32 * "0")
    Endpoint(f"w{number}", EndpointArgs(namespace="default", router_image=image, capacity=capacity, stable=served))
"""

_OBJECTS = """import json
import pulumi

for kind, name, inputs in json.loads(open("objects.json").read()):
    pulumi.CustomResource(kind, name, inputs)
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one command."""

    seconds: float
    gib: float
    """The most that its processes held at one time, pages they share counted for each."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of one program."""

    resources: int
    objects: list[tuple[str, str, dict[str, Any]]]
    """Those that are no components: type, name and inputs."""
    preview: Cost
    nothing: Cost
    """An update that finds nothing to do."""


def main(sizes: Sequence[int]) -> None:
    shown = Table(title="Many workloads in one stack", min_width=110)
    for column in ("workloads", "program", "resources", "preview s", "ours to it", "no-op up s", "ours to it", "memory GiB"):
        shown.add_column(column, justify="left" if column == "program" else "right", no_wrap=True)
    with tempfile.TemporaryDirectory(prefix="modelstack-bench-") as name:
        folder = Path(name)
        for size in sizes:
            ours = measure(folder / f"ours-{size}", _WORKLOADS % size, size)
            # The stack is in all of them; so is nothing else that is not asked for.
            bare = measure(folder / f"bare-{size}", BARE % (ours.resources - 1), size)
            same = measure(folder / f"same-{size}", _OBJECTS, size, ours.objects)
            shown.add_row(str(size), "ours", *cells(ours))
            shown.add_row("", "as many ConfigMaps", *cells(bare, ours, at_most=RATIO))
            shown.add_row("", "the same objects, bare", *cells(same, ours))
            Console(width=120).print(shown)


def cells(costs: Costs, ours: Costs | None = None, at_most: float | None = None) -> Iterator[str]:
    """A program's row of the table, from its resources on."""
    yield str(costs.resources)
    for cost, our in ((costs.preview, ours and ours.preview), (costs.nothing, ours and ours.nothing)):
        ratio = our.seconds / cost.seconds if our else None
        yield f"{cost.seconds:.1f}"
        yield "" if ratio is None else f"{ratio:.2f}" + (f" {verdict(kept=ratio <= at_most)}" if at_most else "")
    yield f"{costs.nothing.gib:.2f}"


def measure(folder: Path, program: str, size: int, objects: Sequence[object] = ()) -> Costs:
    """Creates a program's resources on an API server of their own, and measures what comes after.

    `objects` are for the program to read.
    """
    (folder / "state").mkdir(parents=True)
    (folder / "objects.json").write_text(json.dumps(objects))
    (folder / "Pulumi.yaml").write_text(PROJECT % (folder / "state").as_uri())
    (folder / "__main__.py").write_text(program)
    rounds = 1 if size > LARGE else ROUNDS
    with control_plane(folder) as kubeconfig:
        (folder / "admin").write_text(kubeconfig)
        run(folder, "stack", "init", "scale")
        run(folder, "up", "--yes", "--skip-preview")
        state = json.loads(run(folder, "stack", "export")[0])
        resources = [one for one in state["deployment"]["resources"] if not one["type"].startswith("pulumi:providers:")]
        same = ("up", "--yes", "--skip-preview", "--expect-no-changes")
        return Costs(
            resources=len(resources),
            objects=[(one["type"], one["urn"].rpartition("::")[2], one["inputs"]) for one in resources if one["custom"]],
            preview=cheapest([run(folder, "preview", "--expect-no-changes")[1] for _ in range(rounds)]),
            nothing=cheapest([run(folder, *same)[1] for _ in range(rounds)]),
        )


def cheapest(costs: Sequence[Cost]) -> Cost:
    """What else the machine does only adds."""
    return min(costs, key=lambda cost: cost.seconds)


def run(folder: Path, *words: str) -> tuple[str, Cost]:
    """A command of the engine: its output, and what it cost."""
    environ = {
        **os.environ,
        **variables.variables(),
        "KUBECONFIG": str(folder / "admin"),
        "PYTHONPATH": str(paths.CHECKOUT),
        # A file backend writes the whole state for each resource that is created, which is not measured here.
        "PULUMI_EXPERIMENTAL": "true",
        "PULUMI_SKIP_CHECKPOINTS": "true",
    }
    del environ["PULUMI_BACKEND_URL"]
    started = time.monotonic()
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        command = ["pulumi", *words, "--non-interactive", *(["--stack", "scale"] if words[0] != "stack" else [])]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=err)
        most = 0
        while process.poll() is None:
            most = max(most, held(process.pid))
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        text = out.read()
        assert process.returncode == 0, f"{' '.join(command)}: {text[-2000:]}{err.read()[-2000:]}"
    return text, Cost(seconds=seconds, gib=most / 2**30)


def held(process: int) -> int:
    """Bytes that a process and its children hold."""
    total = 0
    try:
        tree = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for each in tree:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


if __name__ == "__main__":
    backend.prepare()
    main([int(each) for each in sys.argv[1:]] or SIZES)
