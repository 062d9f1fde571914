"""Runs one Pulumi program: the child process of the language host.

The language host starts this file with the program's interpreter, in which only `pulumi` has to be installed. The request comes
on standard input as a serialized `RunRequest`. The first argument is the address of the engine, and `--debug` may follow.

Exit status 0: the program ran. 32: the program failed and the error has been reported to the engine. Any other status is the
program's own.
"""

import sys

# The folder of this file contains modules named `random` and `command`, which must not hide modules of the same name.
sys.path.pop(0)

import asyncio
import ctypes
import logging
import os
import runpy
import signal
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

REPORTED = 32
"""Exit status of a program whose failure has been reported: the engine adds no message of its own."""
INTERRUPTED = 130
PLAIN_ERRORS = {("pulumi.errors", "RunError"), ("common.errors", "UserError")}
"""Errors that are shown without a traceback, as are their subclasses."""
PR_SET_PDEATHSIG = 1


def main() -> int:
    # If the engine is killed, the language host is killed too. The kernel then kills this process.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        __import__("pulumi")  # to print a clear message if it is not installed
    except ImportError as error:
        print(
            f"{error}: the Pulumi SDK cannot be imported by {sys.executable}.\n"
            "Install the program's dependencies, with `pulumi install` or with `uv sync`.",
            file=sys.stderr,
        )
        return 1
    return _run(sys.argv[1], sys.stdin.buffer.read(), debug="--debug" in sys.argv[2:])


def _stop(*_: object) -> None:
    os._exit(INTERRUPTED)


def _run(engine: str, message: bytes, *, debug: bool) -> int:
    import grpc  # noqa: PLC0415 - after the signal handlers are set: importing takes most of the start
    from pulumi import log  # noqa: PLC0415
    from pulumi.runtime import reset_options, run_in_stack, set_all_config  # noqa: PLC0415
    from pulumi.runtime.proto import language_pb2  # noqa: PLC0415

    request = language_pb2.RunRequest.FromString(message)
    reset_options(
        project=request.project,
        stack=request.stack,
        root_directory=request.info.root_directory or None,
        parallel=request.parallel,
        engine_address=engine,
        monitor_address=request.monitor_address,
        preview=request.dryRun,
        organization=request.organization or "organization",
    )
    set_all_config(dict(request.config), list(request.configSecretKeys))
    if not debug:
        # The SDK sends about six debug messages for each resource and waits for the delivery of each. This takes a quarter of a
        # program's time, and the engine discards them.
        log.debug = _discard
    root = request.info.program_directory or request.pwd
    entry = request.info.entry_point
    program = os.path.join(root, entry if entry not in ("", ".") else "__main__.py")  # noqa: PTH118 - importing pathlib is slow
    if os.path.isdir(program):  # noqa: PTH112
        program = os.path.join(program, "__main__.py")  # noqa: PTH118
    os.chdir(request.pwd or root)
    sys.path.insert(0, os.path.dirname(program))  # noqa: PTH120
    sys.argv = [program, *request.args]
    # A program that fails leaves futures that nobody awaits. asyncio would log an error for each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(max(request.parallel, 1) * 4))

    status = 0
    try:
        loop.run_until_complete(run_in_stack(lambda: _body(program)))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if status and not isinstance(error.code, int):
            log.error(str(error.code))
            status = REPORTED
    except grpc.RpcError as error:
        # The resource monitor stops when the engine stops: then no error can be reported.
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            log.error(f"the engine refused a request of the program: {error.details()}")
            status = REPORTED
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is reported
        log.error(describe(error, root))
        status = REPORTED
    finally:
        _finish(loop)
    return status


async def _body(program: str) -> None:
    _start(program)
    # The SDK waits for registrations one by one, and then for outputs. When an output completes, the SDK waits again for all
    # other outputs, so the time grows with the square of their number. If no registration has started yet, the SDK waits for
    # outputs at once. `sleep(0)` lets the registrations start first.
    await asyncio.sleep(0)


def _start(program: str) -> None:
    if not os.path.exists(program):  # noqa: PTH110
        raise FileNotFoundError(f"the program {program} does not exist")
    runpy.run_path(program, run_name="__main__")


def _discard(*_args: object, **_kwargs: object) -> None:
    """Replaces `pulumi.log.debug`: drops the message."""


def _finish(loop: "asyncio.AbstractEventLoop") -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with suppress(BaseException):
            loop.run_until_complete(task)
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()


def describe(error: BaseException, root: str) -> str:
    """Returns the text that the user sees for an error.

    This is the message alone for `PLAIN_ERRORS`, otherwise the traceback from the first frame of the program in folder `root`.
    """
    names = {(kind.__module__, kind.__name__) for kind in type(error).__mro__}
    if names & PLAIN_ERRORS:
        return str(error)
    report = traceback.TracebackException.from_exception(error)
    _trim(report, os.path.join(os.path.realpath(root), ""))  # noqa: PTH118
    return "Program failed with an unhandled exception:\n" + "".join(report.format())


def _trim(report: "traceback.TracebackException | None", root: str) -> None:
    """Drops the frames before the first frame of the program, also in the error's causes and contexts."""
    if report is None:
        return
    files = [frame.filename for frame in report.stack]
    in_program = [at for at, file in enumerate(files) if not file.startswith("<") and os.path.realpath(file).startswith(root)]
    in_runpy = [at for at, file in enumerate(files) if file == "<frozen runpy>"]
    first = in_program[0] if in_program else (in_runpy[-1] + 1 if in_runpy else 0)
    del report.stack[:first]
    _trim(report.__cause__, root)
    _trim(report.__context__, root)


if __name__ == "__main__":
    code = main()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Threads of a failed program may wait forever, so they are not joined.
    os._exit(code)
