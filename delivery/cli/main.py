"""The `modelstack` command.

Each command imports what it needs when it runs, so that help and refusals come at once.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from common.errors import UserError
from delivery.cli import releases
from delivery.cli.completion import stack_names
from delivery.cli.help import CommandGroup
from delivery.cli.options import AsJson, Stack, Workload  # noqa: TC001 typer looks at them

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130

app = typer.Typer(
    name="modelstack",
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One repository that is the platform and every model on it. `modelstack up` makes all of it on this machine.",
)
node = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="The embedded one-node Kubernetes, by itself.")
app.add_typer(node, name="node")
app.add_typer(releases.app)


class Until(StrEnum):
    """The last thing that `up` does."""

    tools = "tools"
    environment = "environment"
    training = "training"
    release = "release"
    endpoint = "endpoint"


def _show_version(wanted: bool) -> None:  # noqa: FBT001 typer calls it
    if wanted:
        from importlib import metadata

        typer.echo(f"modelstack {metadata.version('modelstack')}")
        raise typer.Exit


@app.callback()
def modelstack(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Takes the options that stand before the name of a command."""
    del version  # its callback has done the work


@app.command()
def up(
    stack: Stack = "dev",
    until: Annotated[Until, typer.Option(help="Stop after this.")] = Until.endpoint,
) -> None:
    """Makes everything: tools, cluster, platform, data, training, release, endpoint. Goes on after an interruption."""
    from delivery.machine import up as command

    command.main(stack, until.value)


@app.command()
def down(stack: Stack = "dev") -> None:
    """Destroys the environment. Only caches stay."""
    from delivery.machine import down as command

    command.main(stack)


@app.command()
def status(
    stack: Annotated[
        str | None, typer.Option("--stack", "-s", autocompletion=stack_names, help="Only this environment.")
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """What runs where, since when, from which run and data."""
    from delivery.environments import status as command

    command.main(stack, as_json=json)


@app.command()
def train(
    workload: Workload,
    stack: Stack = "dev",
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the run under way.")] = False,
) -> None:
    """Trains a workload in the environment, or follows its run under way. Ctrl-C stops the watching, not the run."""
    from delivery.training import commands

    commands.train(stack, workload, cancel=cancel)


@app.command()
def backtest(
    workload: Workload,
    stack: Stack = "dev",
    version: Annotated[int | None, typer.Option(min=1, help="The registered version; the newest unless given.")] = None,
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the run under way.")] = False,
    json: AsJson = False,
) -> None:
    """Makes a registered version's evidence again, from its model: what is on record has to come out."""
    from delivery.training import commands

    commands.back_test(stack, workload, version, cancel=cancel, as_json=json)


@app.command()
def release(
    workload: Workload,
    stack: Stack = "dev",
    version: Annotated[int | None, typer.Option(min=1, help="The registered version; the newest unless given.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the change, build and write nothing.")] = False,
) -> None:
    """Makes a registered model version immutable: its image, and the release in the stack file."""
    from delivery.releases import commands

    commands.release(stack, workload, version, dry_run=dry_run)


@app.command()
def predict(workload: Workload, stack: Stack = "dev") -> None:
    """Asks the endpoint for a held-out week and shows what really sold."""
    from delivery.environments import predict as command

    command.main(stack, workload)


@app.command()
def env() -> None:
    """Prints the variables for plain pulumi and kubectl: `eval "$(modelstack env)"`."""
    from delivery.stacks import backend, variables

    backend.prepare()
    typer.echo(variables.export_lines())


@app.command()
def tools() -> None:
    """Finds, downloads or builds the engine, its plugins and Kubernetes."""
    from delivery.console.progress import reporter
    from delivery.machine import toolbox

    with reporter("tools") as progress:
        toolbox.ensure(progress, embedded=True, images=False)


@app.command()
def doctor(stack: Stack = "dev") -> None:
    """What is real, what stands in for what, and whether this machine will do."""
    from delivery.machine import doctor as command

    command.main(stack)


@app.command()
def schema() -> None:
    """Writes the JSON Schema of the stack files, for editors."""
    from infra.settings import schema as command

    typer.echo(command.write())


ApiPort = Annotated[int, typer.Option(help="Where the API server listens.")]
RegistryPort = Annotated[int, typer.Option(help="Where the registry listens.")]
NodePorts = Annotated[str, typer.Option(help="The node ports reachable on this machine.")]


@node.command()
def start(api_port: ApiPort = 6443, registry_port: RegistryPort = 5000, node_ports: NodePorts = "30000-30031") -> None:
    """Starts the node and prints its kubeconfig."""
    _node("start", api_port, registry_port, node_ports)


@node.command()
def stop(
    api_port: ApiPort = 6443,
    registry_port: RegistryPort = 5000,
    node_ports: NodePorts = "30000-30031",
    *,
    remove_data: Annotated[bool, typer.Option("--remove-data", help="Remove its data as well.")] = False,
) -> None:
    """Stops the node. Its data stays, unless told otherwise."""
    _node("stop", api_port, registry_port, node_ports, *(["--remove-data"] if remove_data else []))


@node.command("status")
def node_status(api_port: ApiPort = 6443, registry_port: RegistryPort = 5000, node_ports: NodePorts = "30000-30031") -> None:
    """Whether the node runs."""
    _node("status", api_port, registry_port, node_ports)


def _node(action: str, api_port: int, registry_port: int, node_ports: str, *more: str) -> NoReturn:
    flags = ["--api-port", str(api_port), "--registry-port", str(registry_port), "--node-ports", node_ports, *more]
    os.execv(sys.executable, [sys.executable, "-m", "local.node", action, *flags])  # noqa: S606 the same interpreter, no shell


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _reach_this_machine_directly() -> None:
    """A proxy is for the world outside: what the environment serves is on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, "localhost", "127.0.0.1"]))


def _refuse(message: object) -> int:
    typer.echo(str(message), err=True)
    return 1


def main() -> None:
    """Runs the command line: errors that a user can mend are printed alone, without a traceback."""
    # Being ended politely is being interrupted. SIGINT too: a shell without job control has background jobs ignore it.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    _reach_this_machine_directly()
    try:
        code = app(standalone_mode=False) or 0
    except UserError as error:
        code = _refuse(error)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except PermissionError as error:
        code = _refuse(UserError("This needs more rights.", where=str(error.filename or error), fix="run it as root"))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = error.filename or os.getcwd()  # noqa: PTH109 for a message
        code = _refuse(UserError("The disk is full.", where=str(where), fix="free some space, then run the same command again"))
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        error.show()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] click's usage error, by its exit code
        code = int(error.exit_code)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType] see above
    if code == INTERRUPTED:  # typer, too, turns an interrupt into this code
        typer.echo("Interrupted. Run the same command again: it goes on from where it stopped.", err=True)
    sys.exit(code)
