"""`python -m local.node start|stop|status`. `start` prints the kubeconfig. Progress goes to standard error."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common import paths
from common.errors import UserError
from local.node.config import NodeConfig, parse_range
from local.node.lifecycle.start import start
from local.node.lifecycle.status import status
from local.node.lifecycle.stop import remove, stop

if TYPE_CHECKING:
    from collections.abc import Generator


class _Lines:
    """Prints progress as lines: the name of the step, and the part that it waits for."""

    @contextmanager
    def step(self, name: str) -> Generator[_Line]:
        line = _Line(name)
        started = time.monotonic()
        line.note("...")
        yield line
        line.note(f"done, {time.monotonic() - started:.1f} s")


class _Line:
    def __init__(self, name: str) -> None:
        self.name = name

    def advance(self, done: float, total: float | None = None) -> None:
        pass

    def note(self, text: str) -> None:
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.node", description="Starts, stops and inspects the embedded one-node Kubernetes cluster."
    )
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument("--root", type=Path, default=paths.NODE, help="folder with the node's data")
    parser.add_argument("--api-port", type=int, default=6443)
    parser.add_argument("--registry-port", type=int, default=5000)
    parser.add_argument("--node-ports", default="30000-30031")
    parser.add_argument("--remove-data", action="store_true", help="with stop: also remove the node's data")
    parser.add_argument("--hyperkube", type=Path, help="the binary to run (default: the toolchain's)")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    config = NodeConfig(arguments.root, arguments.api_port, arguments.registry_port, parse_range(arguments.node_ports))
    if arguments.action == "start":
        print(start(config, _Lines(), hyperkube=arguments.hyperkube), end="")
    elif arguments.action == "stop":
        stop(config, _Lines())
        if arguments.remove_data:
            remove(config, _Lines())
    else:
        found = status(config)
        print(json.dumps(dataclasses.asdict(found), indent=2))
        return 0 if found.ready else 1
    return 0


def main() -> int:
    """Runs the command and returns its exit code; `status` returns 1 if the node is not ready."""
    try:
        return _run(_parser().parse_args())
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
