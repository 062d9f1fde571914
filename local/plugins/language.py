"""The Python language host. `pulumi` starts it as `pulumi-language-python` to run programs, policy packs and plugins.

Each program runs in a child process (`executor.py`) with the interpreter that Pulumi.yaml names, by default the interpreter of
this process. The output of the child process goes to the engine's log, and the child process can be stopped at any moment. This
process loads the protocol's messages without the rest of the SDK, so that it starts in a third of the time.
"""
# ruff: noqa: N802, the names are the protocol's

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from local.plugins import bare

if __name__ == "__main__":
    bare.without_sdk()

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from local.plugins import interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXECUTOR = Path(__file__).with_name("executor.py")
REPORTED = 32
"""Exit status of an executor that has reported its error to the engine."""
MAX_MESSAGE = 400 * 1024 * 1024
"""Bytes. The same as the engine's limit: configurations and plugin outputs may be large."""
DEBUG_FLAG = "--debug"
"""Argument of the executor: debug messages are shown or logged."""
PARENT_CHECK_SECONDS = 1.0
CHUNK = 65536
WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--")
"""Prefix of a command: the kernel terminates the command when this process is killed."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine's calls. Calls without a method here return `UNIMPLEMENTED`: code generation, packing, templates."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        del context
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        del request, context
        return plugin_pb2.PluginInfo(version=interpreter.version_of("pulumi"))

    def About(self, request: language_pb2.AboutRequest, context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        python = self._interpreter(request.info, context)
        version = subprocess.run(
            [python.executable, "-c", "import platform; print(platform.python_version())"],
            capture_output=True,
            text=True,
            check=False,
        )
        return language_pb2.AboutResponse(executable=str(python.executable), version=version.stdout.strip())

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        packages = [
            plugin_pb2.PackageDependency(
                name=package.name,
                kind="resource",
                version=package.version,
                server=package.server,
                parameterization=plugin_pb2.PackageParameterization(
                    name=package.parameterization[0], version=package.parameterization[1], value=package.parameterization[2]
                )
                if package.parameterization
                else None,
            )
            for package in self._interpreter(request.info, context).packages()
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        plugins = [
            plugin_pb2.PluginDependency(name=package.name, kind="resource", version=package.version, server=package.server)
            for package in self._interpreter(request.info, context).packages()
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=plugins)

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        python = self._interpreter(request.info, context)
        installed = python.dependencies(transitive=request.transitiveDependencies)
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in installed]
        )

    def RuntimeOptionsPrompts(
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        del request, context
        return language_pb2.RuntimeOptionsResponse()

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        del context
        try:
            python = interpreter.for_program(request.info.root_directory, _options(request.info))
        except interpreter.NoInterpreterError as error:
            return language_pb2.RunResponse(error=str(error))
        command = [str(python.executable), "-u", str(EXECUTOR), self._engine, *([DEBUG_FLAG] if _debug_requested() else [])]
        try:
            child = self._start(command, pwd=request.pwd, stdin=subprocess.PIPE, stdout=None, stderr=None)
        except OSError as error:
            return language_pb2.RunResponse(error=f"cannot run {python.executable}: {error}")
        try:
            child.communicate(request.SerializeToString())
        finally:
            self._wait(child)
        if child.returncode == 0:
            return language_pb2.RunResponse()
        if child.returncode == REPORTED or self._stopping:
            return language_pb2.RunResponse(bail=True)
        if child.returncode < 0:
            return language_pb2.RunResponse(error=f"the program was killed by {signal.Signals(-child.returncode).name}")
        return language_pb2.RunResponse(error=f"the program exited with status {child.returncode}")

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        python = self._interpreter(request.info, context)
        folder = request.info.program_directory
        if request.kind == "analyzer":
            arguments = ["-m", "pulumi.policy", *request.args, folder]
        elif Path(folder, "__main__.py").exists():
            arguments = [folder, *request.args]
        else:
            arguments = ["-m", "pulumi.run.plugin", Path(folder).name, *request.args]
        environment = {**os.environ, **dict(entry.split("=", 1) for entry in request.env)}
        command = [*WITH_PARENT, str(python.executable), "-u", *arguments]
        child = self._start(command, pwd=request.pwd, env=environment)
        context.add_callback(child.terminate)
        try:
            yield from _streams(child, language_pb2.RunPluginResponse)
        finally:
            self._wait(child)
        yield language_pb2.RunPluginResponse(exitcode=max(child.returncode, 0))

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Installs the dependencies of a program: its uv.lock with uv, or its requirements.txt into its virtual environment."""
        options = _options(request.info)
        root = Path(request.info.root_directory or request.directory)
        virtualenv = root / str(options.get("virtualenv") or ".venv")
        steps: list[list[str]] = []
        if Path(request.directory, "uv.lock").exists() or options.get("toolchain") == "uv":
            steps.append(["uv", "sync"])
        elif Path(request.directory, "requirements.txt").exists():
            if not (virtualenv / "bin" / "python").exists():
                steps.append([sys.executable, "-m", "venv", str(virtualenv)])
            steps.append([str(virtualenv / "bin" / "python"), "-m", "pip", "install", "-r", "requirements.txt"])
        for command in steps:
            yield language_pb2.InstallDependenciesResponse(stdout=f"{' '.join(command)}\n".encode())
            child = self._start([*WITH_PARENT, *command], pwd=request.directory)
            try:
                yield from _streams(child, language_pb2.InstallDependenciesResponse)
            finally:
                self._wait(child)
            if child.returncode:
                context.abort(grpc.StatusCode.UNKNOWN, f"{' '.join(command)} failed with status {child.returncode}")

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        del request, context
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """Terminates the running programs. The engine finishes the resources that they have registered."""
        with self._lock:
            self._stopping = True
            for child in self._children:
                child.terminate()

    def _start(  # noqa: PLR0913 - the callers differ in each of these
        self,
        command: list[str],
        pwd: str,
        *,
        env: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Starts a child process that `stop` can terminate. A stream set to None goes to the same stream of this process."""
        with self._lock:
            child = subprocess.Popen(command, cwd=pwd or None, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
            self._children.add(child)
        return child

    def _wait(self, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        with self._lock:
            self._children.discard(child)

    @staticmethod
    def _interpreter(info: language_pb2.ProgramInfo, context: grpc.ServicerContext) -> interpreter.Interpreter:
        try:
            return interpreter.for_program(info.root_directory, _options(info))
        except interpreter.NoInterpreterError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise


def _options(info: language_pb2.ProgramInfo) -> dict[str, Any]:
    return json_format.MessageToDict(info.options) if info.HasField("options") else {}


def _debug_requested() -> bool:
    """Returns whether the engine shows or logs debug messages.

    The engine does not pass this on to its plugins, so the flags of its command line are read.
    """
    words = Path(f"/proc/{os.getppid()}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    return any(_DEBUG_FLAGS.match(word) for word in words)


_DEBUG_FLAGS = re.compile(r"--(debug|verbose|logtostderr)(=|$)|-[a-z]*[dv]")
"""`--debug`, `-d`, `--verbose=9`, `-v9`, and short flags together: `-yd`."""

_Chunk = TypeVar("_Chunk", language_pb2.RunPluginResponse, language_pb2.InstallDependenciesResponse)


def _streams(child: subprocess.Popen[bytes], response: type[_Chunk]) -> Iterator[_Chunk]:
    """Yields the output of a child process as it arrives, until the child process has closed both streams."""
    chunks: queue.SimpleQueue[_Chunk | None] = queue.SimpleQueue()

    def pump(stream: IO[bytes], pack: Callable[[bytes], _Chunk]) -> None:
        while chunk := os.read(stream.fileno(), CHUNK):
            chunks.put(pack(chunk))
        chunks.put(None)

    assert child.stdout is not None
    assert child.stderr is not None
    packers: list[tuple[IO[bytes], Callable[[bytes], _Chunk]]] = [
        (child.stdout, lambda chunk: response(stdout=chunk)),
        (child.stderr, lambda chunk: response(stderr=chunk)),
    ]
    for packer in packers:
        threading.Thread(target=pump, args=packer, daemon=True).start()
    left = len(packers)
    while left:
        chunk = chunks.get()
        if chunk is None:
            left -= 1
        else:
            yield chunk


def main() -> None:
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    host = LanguageHost(addresses[-1] if addresses else "")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: ended.set())
    parent = os.getppid()
    server = grpc.server(
        futures.ThreadPoolExecutor(16),
        options=[("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not ended.wait(PARENT_CHECK_SECONDS):
        if os.getppid() != parent:
            break
    host.stop()
    server.stop(grace=None)
    # Nothing is awaited: the kernel kills a program that is still running when this process ends (see `executor.main`).
    os._exit(0)


if __name__ == "__main__":
    main()
