"""The Python language host: what `pulumi` starts as `pulumi-language-python` to run programs, policy packs and plugins.

Each program runs in a child process (`executor.py`) of the interpreter that Pulumi.yaml asks for, this one by default. The
child's output streams into the engine's log, and it can be stopped at any moment. This process stays small: it loads the
protocol's messages without the SDK around them, which starts it in a third of the time.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any


from local.plugins import bare

if __name__ == "__main__":
    bare.without_sdk()

import grpc  # noqa: E402 - after the packages are prepared
from google.protobuf import empty_pb2, json_format  # noqa: E402
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2  # noqa: E402

from local.plugins import interpreter  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTOR = Path(__file__).with_name("executor.py")
REPORTED = 32
"""Exit status of an executor that has told the engine what went wrong."""
MAX_MESSAGE = 400 * 1024 * 1024
"""As the engine's own limit: configurations and plugin outputs may be large."""
PARENT_CHECK_SECONDS = 1.0


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The calls of the engine. Those that are not here answer `UNIMPLEMENTED`: code generation, packing, templates."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = False

    # The names are the protocol's.
    def Handshake(self, request: Any, _context: Any) -> Any:  # noqa: N802, ANN401 - messages have no usable types
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802, ANN401
        return plugin_pb2.PluginInfo(version=interpreter.version_of("pulumi"))

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802, ANN401
        python = self._interpreter(request.info, context)
        version = subprocess.run(
            [python.executable, "-c", "import platform; print(platform.python_version())"],
            capture_output=True,
            text=True,
            check=False,
        )
        return language_pb2.AboutResponse(executable=str(python.executable), version=version.stdout.strip())

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802, ANN401
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

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: N802, ANN401
        plugins = [
            plugin_pb2.PluginDependency(name=package.name, kind="resource", version=package.version, server=package.server)
            for package in self._interpreter(request.info, context).packages()
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=plugins)

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802, ANN401
        python = self._interpreter(request.info, context)
        found = python.dependencies(transitive=request.transitiveDependencies)
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in found]
        )

    def RuntimeOptionsPrompts(self, _request: Any, _context: Any) -> Any:  # noqa: N802, ANN401
        return language_pb2.RuntimeOptionsResponse()

    def Run(self, request: Any, _context: Any) -> Any:  # noqa: N802, ANN401
        try:
            python = interpreter.of_program(request.info.root_directory, _options(request.info))
        except interpreter.NoInterpreterError as error:
            return language_pb2.RunResponse(error=str(error))
        command = [str(python.executable), "-u", str(EXECUTOR), self._engine]
        try:
            child = self._start(command, cwd=request.pwd or None, stdin=subprocess.PIPE)
        except OSError as error:
            return language_pb2.RunResponse(error=f"cannot run {python.executable}: {error}")
        try:
            child.communicate(request.SerializeToString())
        finally:
            self._ended(child)
        if child.returncode == 0:
            return language_pb2.RunResponse()
        if child.returncode == REPORTED or self._stopping:
            return language_pb2.RunResponse(bail=True)
        if child.returncode < 0:
            return language_pb2.RunResponse(error=f"the program was killed by {signal.Signals(-child.returncode).name}")
        return language_pb2.RunResponse(error=f"the program exited with status {child.returncode}")

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802, ANN401
        python = self._interpreter(request.info, context)
        folder = request.info.program_directory
        if request.kind == "analyzer":
            arguments = ["-m", "pulumi.policy", *request.args, folder]
        elif Path(folder, "__main__.py").exists():
            arguments = [folder, *request.args]
        else:
            arguments = ["-m", "pulumi.run.plugin", Path(folder).name, *request.args]
        environment = dict(entry.split("=", 1) for entry in request.env) if request.env else dict(os.environ)
        child = self._start(
            [str(python.executable), "-u", *arguments],
            cwd=request.pwd or None,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(child.terminate)
        try:
            yield from _streams(child, language_pb2.RunPluginResponse)
        finally:
            self._ended(child)
        yield language_pb2.RunPluginResponse(exitcode=max(child.returncode, 0))

    def InstallDependencies(self, request: Any, _context: Any) -> Iterator[Any]:  # noqa: N802, ANN401
        """Installs what the program's folder asks for: the lock of uv, or a requirements.txt into its virtualenv."""
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
            child = self._start(command, cwd=request.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                yield from _streams(child, language_pb2.InstallDependenciesResponse)
            finally:
                self._ended(child)
            if child.returncode:
                _context.abort(grpc.StatusCode.UNKNOWN, f"{' '.join(command)} failed with status {child.returncode}")

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802, ANN401
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """Ends the programs under way; what they had registered is the engine's to finish."""
        with self._lock:
            self._stopping = True
            for child in self._children:
                child.terminate()

    def _start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - as Popen takes them
        with self._lock:
            child = subprocess.Popen(command, **options)
            self._children.add(child)
        return child

    def _ended(self, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        with self._lock:
            self._children.discard(child)

    def _interpreter(self, info: Any, context: Any) -> interpreter.Interpreter:  # noqa: ANN401
        try:
            return interpreter.of_program(info.root_directory, _options(info))
        except interpreter.NoInterpreterError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise


def _options(info: Any) -> dict[str, Any]:  # noqa: ANN401 - a message
    return json_format.MessageToDict(info.options) if info.HasField("options") else {}


def _streams(child: subprocess.Popen[bytes], response: Any) -> Iterator[Any]:  # noqa: ANN401 - messages
    """What a child prints, as it prints it, until it has closed both streams."""
    lines: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def pump(name: str, stream: Any) -> None:  # noqa: ANN401
        while chunk := stream.read1(65536):
            lines.put(response(**{name: chunk}))
        lines.put(None)

    for name, stream in (("stdout", child.stdout), ("stderr", child.stderr)):
        threading.Thread(target=pump, args=(name, stream), daemon=True).start()
    open_streams = 2
    while open_streams:
        message = lines.get()
        if message is None:
            open_streams -= 1
        else:
            yield message


def main() -> None:
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    host = LanguageHost(addresses[-1] if addresses else "")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
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
    # A program that does not end in time is killed with this process (it asked for that): nothing is awaited.
    os._exit(0)


if __name__ == "__main__":
    main()
