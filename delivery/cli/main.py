"""The `modelstack` command.

Each command imports its modules when it runs, so that help texts and errors in options appear immediately.
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
from delivery.cli import releases, targets
from delivery.cli.completion import stack_names
from delivery.cli.help import CommandGroup
from delivery.cli.options import AsJson, DryRun, Run, Stack, Workload  # noqa: TC001 typer reads them at run time

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
    help="One repository with a machine learning platform and all its models. `modelstack up` creates it on this machine.",
)
node = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Manage the embedded one-node Kubernetes cluster directly.")
app.add_typer(node, name="node")
kind = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, hidden=True, help="Manage the `kind` cluster of a stack; for Pulumi."
)
app.add_typer(kind, name="kind")
app.add_typer(targets.app, name="target")
app.add_typer(releases.app)


class Until(StrEnum):
    """The stages of `up`. It stops after the given one."""

    tools = "tools"
    environment = "environment"
    training = "training"
    release = "release"
    endpoint = "endpoint"


def _show_version(requested: bool) -> None:  # noqa: FBT001 typer calls it
    if requested:
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
    """Handle the options before the name of a command."""
    del version  # its callback prints the version


@app.command()
def up(
    stack: Stack = "dev",
    until: Annotated[Until, typer.Option(help="The last stage to run.")] = Until.endpoint,
    *,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over an environment that belongs to the state in another backend.")
    ] = False,
) -> None:
    """Create or update everything: tools, cluster, platform, data, training, release, endpoint.

    After an interruption, run the command again: it continues where it stopped.
    """
    from delivery.machine import up as command

    command.main(stack, until.value, adopt=adopt)


@app.command()
def down(stack: Stack = "dev") -> None:
    """Destroy the environment. Caches and logs stay."""
    from delivery.machine import down as command

    command.main(stack)


@app.command()
def tour(
    *,
    dry_run: DryRun = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write the settings again, also of files that were edited. Releases stay.")
    ] = False,
) -> None:
    """Write the stack files with which you try stage and prod on this machine. Git ignores these files."""
    from delivery.machine import tour as command

    command.main(dry_run=dry_run, force=force)


@app.command()
def status(
    stack: Annotated[
        str | None, typer.Option("--stack", "-s", autocompletion=stack_names, help="Show only this environment.")
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """Show which versions run in each environment, since when, and from which training run and data."""
    from delivery.environments import status as command

    command.main(stack, as_json=json)


@app.command()
def train(
    workload: Workload,
    stack: Stack = "dev",
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop the run in progress.")] = False,
    run: Run = None,
) -> None:
    """Train a workload in the environment, or follow its run in progress. After Ctrl-C, the run continues in the cluster."""
    from delivery.training import commands

    commands.train(stack, workload, cancel=cancel, run=run)


@app.command()
def backtest(  # noqa: PLR0913 the options of the command
    workload: Workload,
    stack: Stack = "dev",
    version: Annotated[int | None, typer.Option(min=1, help="The registered model version. By default, the newest.")] = None,
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop the run in progress.")] = False,
    run: Run = None,
    json: AsJson = False,
) -> None:
    """Repeat the back-test of a registered model version, and compare the result with the recorded evidence."""
    from delivery.training import commands

    commands.back_test(stack, workload, version, cancel=cancel, as_json=json, run=run)


@app.command()
def release(
    workload: Workload,
    stack: Stack = "dev",
    version: Annotated[int | None, typer.Option(min=1, help="The registered model version. By default, the newest.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the change, but build and write nothing.")] = False,
) -> None:
    """Release a registered model version: build its image, and write the immutable release to the stack file."""
    from delivery.releases import commands

    commands.release(stack, workload, version, dry_run=dry_run)


@app.command()
def predict(workload: Workload, stack: Stack = "dev") -> None:
    """Ask the endpoint to predict a held-out week, and show the actual sales beside the predictions."""
    from delivery.environments import predict as command

    command.main(stack, workload)


@app.command()
def env() -> None:
    """Print the environment variables for pulumi and kubectl. Usage: `eval "$(modelstack env)"`."""
    from delivery.stacks import backend, variables

    backend.prepare()
    typer.echo(variables.export_lines())


@app.command()
def tools() -> None:
    """Find, download or build the Pulumi engine, its plugins and Kubernetes."""
    from delivery.console.progress import reporter
    from delivery.machine import toolbox

    with reporter("tools") as progress:
        toolbox.ensure(progress, embedded=True, images=False)


@app.command()
def doctor(stack: Stack = "dev") -> None:
    """Show the tools and plugins that this machine uses, real or stand-in, and check that the machine is suitable."""
    from delivery.machine import doctor as command

    command.main(stack)


@app.command()
def schema() -> None:
    """Write the JSON Schema of the stack files, for editors."""
    from infra.settings import schema as command

    typer.echo(command.write())


ApiPort = Annotated[int, typer.Option(help="The port of the API server.")]
RegistryPort = Annotated[int, typer.Option(help="The port of the container registry.")]
NodePorts = Annotated[str, typer.Option(help="The range of node ports that are reachable on this machine.")]


@node.command()
def start(api_port: ApiPort = 6443, registry_port: RegistryPort = 5000, node_ports: NodePorts = "30000-30031") -> None:
    """Start the node and print its kubeconfig."""
    _node("start", api_port, registry_port, node_ports)


@node.command()
def stop(
    api_port: ApiPort = 6443,
    registry_port: RegistryPort = 5000,
    node_ports: NodePorts = "30000-30031",
    *,
    remove_data: Annotated[bool, typer.Option("--remove-data", help="Delete the node's data, too.")] = False,
) -> None:
    """Stop the node. Its data stays, unless you give --remove-data."""
    _node("stop", api_port, registry_port, node_ports, *(["--remove-data"] if remove_data else []))


@node.command("status")
def node_status(api_port: ApiPort = 6443, registry_port: RegistryPort = 5000, node_ports: NodePorts = "30000-30031") -> None:
    """Show the status of the node. The exit code is 1 if the node is not ready."""
    _node("status", api_port, registry_port, node_ports)


def _node(action: str, api_port: int, registry_port: int, node_ports: str, *options: str) -> NoReturn:
    flags = ["--api-port", str(api_port), "--registry-port", str(registry_port), "--node-ports", node_ports, *options]
    os.execv(sys.executable, [sys.executable, "-m", "local.node", action, *flags])  # noqa: S606 runs the same interpreter without a shell


KindName = Annotated[str, typer.Option(help="The name of the cluster.")]
KindMark = Annotated[str, typer.Option(help="The random text on the cluster by which the stack recognises it.")]


@kind.command("start")
def kind_start(name: KindName, mark: KindMark) -> None:
    """Create the cluster that standard input describes, and print its kubeconfig."""
    from local import kind_cluster

    typer.echo(kind_cluster.start(name, mark, sys.stdin.read()), nl=False)


@kind.command("adopt")
def kind_adopt(name: KindName, mark: KindMark) -> None:
    """Mark the cluster as that of the stack, and print its kubeconfig."""
    from local import kind_cluster

    typer.echo(kind_cluster.adopt(name, mark), nl=False)


@kind.command("delete")
def kind_delete(name: KindName, mark: KindMark) -> None:
    """Delete the cluster if the stack has created it."""
    from local import kind_cluster

    typer.echo(kind_cluster.delete(name, mark), err=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _bypass_proxy_for_localhost() -> None:
    """Exclude this machine from the HTTP proxy: the endpoints of the environment are on localhost."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, "localhost", "127.0.0.1"]))


def _print_error(message: object) -> int:
    """Print the message to standard error and return the exit code."""
    typer.echo(str(message), err=True)
    return 1


def main() -> None:
    """Run the command line. Errors that a user can fix are printed without a traceback."""
    # SIGTERM and SIGHUP interrupt a command like Ctrl-C. SIGINT is set as well, because a shell without job control starts
    # background jobs with SIGINT ignored.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    _bypass_proxy_for_localhost()
    try:
        code = app(standalone_mode=False) or 0
    except UserError as error:
        code = _print_error(error)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except PermissionError as error:
        code = _print_error(UserError("Permission denied.", where=str(error.filename or error), fix="run the command as root"))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = error.filename or os.getcwd()  # noqa: PTH109 a message needs no Path
        code = _print_error(
            UserError("The disk is full.", where=str(where), fix="free some space, then run the same command again")
        )
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        error.show()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] click's usage errors have an exit code
        code = int(error.exit_code)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType] see above
    if code == INTERRUPTED:  # typer also returns this code after an interrupt
        typer.echo("Interrupted. Run the same command again: it continues where it stopped.", err=True)
    sys.exit(code)
