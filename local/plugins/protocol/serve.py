"""Serves a resource provider to the engine.

A plugin is a subclass of `Provider` and `serve(MyProvider())` in its `__main__.py`:

    class Random(Provider):
        name, version = "random", "4.21.4"

        def create(self, request: Create) -> Created:
            return Created(id="...", state={**request.inputs, "result": Secret("...")})

    serve(Random())
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING

import grpc
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2_grpc

from local.plugins.protocol.servicer import Servicer

if TYPE_CHECKING:
    from local.plugins.protocol.provider import Provider

_THREADS = 256
"""The maximum number of concurrent calls. Each resource that is awaited occupies one thread."""
_GRACE = 4.0
"""Seconds that running calls have to end after a signal. The engine kills the plugin after five."""


def serve(provider: Provider) -> None:
    """Serves the provider until the engine stops this process with a signal, or until the engine itself has ended."""
    address = next((a for a in sys.argv[1:] if not a.startswith("-")), "")
    if address:
        provider.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="call"), options=options)
    servicer = Servicer(provider)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    print(port, flush=True)
    parent = os.getppid()
    while not stop.wait(1):
        if os.getppid() != parent:
            break
    provider.cancelled.set()
    deadline = time.monotonic() + _GRACE
    while servicer.busy and time.monotonic() < deadline:
        time.sleep(0.02)
    os._exit(0)  # threads that still wait must not keep the process running after the engine has ended
