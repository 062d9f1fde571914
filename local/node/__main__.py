"""`python -m local.node start|stop|status`: the kubeconfig goes to standard output, progress to standard error."""

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
from local import node
from local.node.config import parse_range

if TYPE_CHECKING:
    from collections.abc import Generator


class _Lines:
    """Progress as lines: names of steps and what they wait for."""

    @contextmanager
    def step(self, name: str) -> Generator[_Line]:
        line = _Line(name)
        begun = time.monotonic()
        line.note("...")
        yield line
        line.note(f"done, {time.monotonic() - begun:.1f} s")


class _Line:
    def __init__(self, name: str) -> None:
        self.name = name

    def advance(self, done: float, total: float | None = None) -> None:
        pass

    def note(self, text: str) -> None:
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.node", description="The embedded one-node Kubernetes.")
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument("--root", type=Path, default=paths.NODE, help="folder of its data")
    parser.add_argument("--api-port", type=int, default=6443)
    parser.add_argument("--registry-port", type=int, default=5000)
    parser.add_argument("--node-ports", default="30000-30031")
    parser.add_argument("--remove-data", action="store_true", help="with stop: remove its data as well")
    parser.add_argument("--hyperkube", type=Path, help="the binary to run, by default the toolchain's")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    config = node.NodeConfig(arguments.root, arguments.api_port, arguments.registry_port, parse_range(arguments.node_ports))
    if arguments.action == "start":
        print(node.start(config, _Lines(), hyperkube=arguments.hyperkube), end="")
    elif arguments.action == "stop":
        node.stop(config, _Lines())
        if arguments.remove_data:
            node.remove(config, _Lines())
    else:
        seen = node.status(config)
        print(json.dumps(dataclasses.asdict(seen), indent=2))
        return 0 if seen.ready else 1
    return 0


def main() -> int:
    """The command."""
    try:
        return _run(_parser().parse_args())
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
