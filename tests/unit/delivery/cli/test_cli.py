"""The command line: help, completion, exit codes, and errors without tracebacks."""

import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from delivery.cli import completion
from delivery.cli.main import app
from workloads.catalogue import WORKLOADS

CHECKOUT = Path(__file__).resolve().parents[4]
MODELSTACK = [sys.executable, "-c", "from delivery.cli.main import main; main()"]


def run(*args, env=None):
    return subprocess.run([*MODELSTACK, *args], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})


def test_help_lists_the_commands():
    done = run("--help")
    assert done.returncode == 0
    missing = [
        name for name in ("up", "down", "status", "train", "release", "predict", "env", "node") if name not in done.stdout
    ]
    assert missing == []


SLOW = ("pulumi", "mlflow", "kubernetes", "httpx", "rich")


def imported_by(*args, env=None):
    """Returns the slow packages that one run of the command imports."""
    program = (
        "import sys\nfrom delivery.cli.main import main\n"
        f"sys.argv = {['modelstack', *args]!r}\n"
        "try:\n    main()\n"
        f"except SystemExit:\n    print([name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **(env or {})}
    )
    return done.stderr.strip()


def test_help_imports_no_slow_packages():
    assert imported_by("--help") == "[]"
    assert imported_by("canary", "--help") == "[]"


def test_completion_imports_no_slow_packages():
    variables = {"_MODELSTACK_COMPLETE": "complete_bash", "COMP_WORDS": "modelstack train ", "COMP_CWORD": "2"}
    assert imported_by(env=variables) == "[]", "the shell waits for completion at every press of the tab key"


def test_the_version_option_prints_the_installed_version():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"modelstack {importlib.metadata.version('modelstack')}\n")


def commands(group, *path):
    """Yields the words that call each command and each group of commands."""
    yield list(path)
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *path, name)


EVERY_COMMAND = list(commands(get_command(app)))


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_help_is_plain_text_and_equal_for_the_short_and_the_long_option(words):
    by_long, by_short = (CliRunner().invoke(app, [*words, option]) for option in ("--help", "-h"))
    assert (by_long.exit_code, by_short.exit_code) == (0, 0)
    assert by_short.output == by_long.output
    assert "-h, --help" in by_long.output
    assert "[bold]" not in by_long.output, "help is printed unchanged, so markup would be visible"


def test_the_list_of_commands_shows_complete_sentences():
    shown = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    cut = [name for name, command in get_command(app).commands.items() if command.help.split("\n\n")[0] not in shown]
    assert cut == [], "the list must not truncate a sentence"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["up", "--stack", "dve"], ["Pulumi.dve.yaml", "no such stack file"]),
        (["train", "markdown", "--stack", "dve"], ["Pulumi.dve.yaml"]),
        (["release", "markdown", "--version", "0"], ["--version"]),
        (["up", "--until", "tomorrow"], ["tomorrow", "environment"]),
        (["pu"], ["pu"]),
    ],
)
def test_wrong_arguments_are_refused_with_a_message_and_without_a_traceback(args, words):
    done = run(*args)
    assert done.returncode in {1, 2}
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


def test_a_shell_can_evaluate_the_output_of_env():
    script = (
        'eval "$($PYTHON -c "from delivery.cli.main import main; main()" env)" && echo "$PULUMI_BACKEND_URL $KUBECONFIG $PATH"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "PYTHON": sys.executable}
    )
    backend, kubeconfig, path = done.stdout.split(" ", 2)
    assert backend == f"file://{CHECKOUT}/.modelstack/state"
    assert kubeconfig == f"{CHECKOUT}/.modelstack/kubeconfig"
    assert path.split(":")[0] == f"{CHECKOUT}/.modelstack/bin", "the checkout's own engine comes first"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_how_to_continue(signal_number):
    program = (
        "import sys, time\nfrom delivery.cli import main\nfrom delivery.stacks import backend\n"
        "backend.prepare = lambda: (print('ready', flush=True), time.sleep(60))\n"
        "sys.argv = ['modelstack', 'env']\nmain.main()"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.1)
    child.send_signal(signal_number)
    _, message = child.communicate(timeout=20)
    assert child.returncode == 130
    assert message == "Interrupted. Run the same command again: it continues where it stopped.\n"


def test_a_full_disk_is_reported_without_a_traceback():
    program = (
        "import errno, sys\nfrom delivery.cli import main\nfrom delivery.stacks import backend\n"
        "def full(): raise OSError(errno.ENOSPC, 'No space left on device', '/data/file')\n"
        "backend.prepare = full\nsys.argv = ['modelstack', 'env']\nmain.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The disk is full.\n  where: /data/file")


def completed(*words):
    """Returns the completions that bash offers after the last word, with the completion script that the command prints."""
    script = """
        source <(modelstack --show-completion)
        declaration=$(complete -p modelstack)
        [[ $declaration =~ -F\\ ([^ ]+) ]]
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "${BASH_REMATCH[1]}" modelstack
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-uec", script, "bash", "modelstack", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pro"], ["promote"]),
        (["node", "st"], ["start", "stop", "status"]),
        (["train", "mark"], ["markdown"]),
        (["train", "markdown", "--sta"], ["--stack"]),
        (["up", "--until", "t"], ["tools", "training"]),
        (["up", "--stack", "st"], ["stage"]),
        (["status", "--stack", "st"], ["stage"]),
        (["canary", "markdown", "--stack", "pr"], ["prod"]),
        (["promote", "markdown", "--to", "st"], ["stage"]),
        (["promote", "markdown", "--to", "stage", "--from", "d"], ["dev"]),
        (["diff", "dev", "st"], ["stage"]),
        (["key", "--workload", "tu"], ["tuna"]),
    ],
    ids=" ".join,
)
def test_bash_completes_commands_options_and_values(words, offered):
    assert completed(*words) == offered


def test_completion_offers_every_workload_of_the_catalogue():
    assert completion.workload_names() == sorted(WORKLOADS), (
        "completion lists folders, because the declarations are slow to import"
    )
