"""Runs one Pulumi program: the child process of the language host.

It is started as a file, by the interpreter the program asks for, and needs nothing there but `pulumi`. The request comes on
standard input as a serialized `RunRequest`; the address of the engine is the first argument, and `--debug` may follow. Exit
status 0: the program ran; 32: it failed and the engine has been told why; others: it ended by itself.
"""

import sys

# The folder of this file holds modules called `random` and `command`: nothing may be imported from there.
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
"""Exit status of a program whose failure has been reported: the engine adds nothing."""
INTERRUPTED = 130
PLAIN_ERRORS = {("pulumi.errors", "RunError"), ("common.errors", "UserError")}
"""Errors that are told by their text alone, with whatever derives from them."""
PR_SET_PDEATHSIG = 1


def main() -> int:
    # The engine kills the host when it is killed itself: the program goes with them.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        __import__("pulumi")  # its absence gets a message
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
    import grpc  # noqa: PLC0415 - after the signals are set: importing takes most of the start
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
        # The SDK says half a dozen things of each resource and waits for each to arrive, a quarter of a program's time, for the
        # engine to throw them away.
        log.debug = _hush
    root = request.info.program_directory or request.pwd
    entry = request.info.entry_point
    program = os.path.join(root, entry if entry not in ("", ".") else "__main__.py")  # noqa: PTH118 - no pathlib: it costs start time
    if os.path.isdir(program):  # noqa: PTH112
        program = os.path.join(program, "__main__.py")  # noqa: PTH118
    os.chdir(request.pwd or root)
    sys.path.insert(0, os.path.dirname(program))  # noqa: PTH120
    sys.argv = [program, *request.args]
    # A program that fails leaves futures behind that nobody awaits; asyncio would complain of each.
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
        # The monitor goes away when the engine stops: there is nobody left to tell.
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
    _begin(program)
    # The SDK waits for registrations one by one, and then for all outputs at once, which takes the square of their number. It
    # takes registrations that have not begun for none: this lets them begin.
    await asyncio.sleep(0)


def _begin(program: str) -> None:
    if not os.path.exists(program):  # noqa: PTH110
        raise FileNotFoundError(f"there is no program at {program}")
    runpy.run_path(program, run_name="__main__")


def _hush(*_args: object, **_kwargs: object) -> None:
    """In place of `pulumi.log.debug`."""


def _finish(loop: "asyncio.AbstractEventLoop") -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with suppress(BaseException):
            loop.run_until_complete(task)
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()


def describe(error: BaseException, root: str) -> str:
    """What the user reads of an error: its text, or the part of the traceback that is their own code and what it called."""
    names = {(kind.__module__, kind.__name__) for kind in type(error).__mro__}
    if names & PLAIN_ERRORS:
        return str(error)
    told = traceback.TracebackException.from_exception(error)
    _trim(told, os.path.join(os.path.realpath(root), ""))  # noqa: PTH118
    return "Program failed with an unhandled exception:\n" + "".join(told.format())


def _trim(told: "traceback.TracebackException | None", root: str) -> None:
    """Drops the frames before the first one of the program, here and in the errors it was raised from."""
    if told is None:
        return
    files = [frame.filename for frame in told.stack]
    own = [at for at, file in enumerate(files) if not file.startswith("<") and os.path.realpath(file).startswith(root)]
    started = [at for at, file in enumerate(files) if file == "<frozen runpy>"]
    first = own[0] if own else (started[-1] + 1 if started else 0)
    del told.stack[:first]
    _trim(told.__cause__, root)
    _trim(told.__context__, root)


if __name__ == "__main__":
    code = main()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Threads of a failed program may wait for ever: they are not joined.
    os._exit(code)
