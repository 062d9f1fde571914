"""Runs the tests' programs for the engine, in one process beside them: what the SDK leaves open after a failure stays there.

A program is a function of a test module. `program.json` in the stack's folder names it, with its arguments.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from concurrent import futures
from pathlib import Path

import grpc
from pulumi.automation._server import LanguageServer  # what runs a program inside a process has no public name
from pulumi.runtime.proto import language_pb2_grpc


@functools.cache
def module(file):
    spec = importlib.util.spec_from_file_location(f"programs_{Path(file).stem}", file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Programs(LanguageServer):
    def Run(self, request, context):  # noqa: N802, the protocol's name
        wanted = json.loads(Path(request.pwd, "program.json").read_text())
        function = getattr(module(wanted["file"]), wanted["name"])
        return LanguageServer(functools.partial(function, **wanted["arguments"])).Run(request, context)


def main():
    server = grpc.server(futures.ThreadPoolExecutor(8))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Programs(lambda: None), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()  # ends when the tests do
    server.stop(None)


if __name__ == "__main__":
    main()
