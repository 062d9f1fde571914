"""The command line: quick, and refusals without tracebacks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


def test_help_imports_neither_the_engine_nor_the_model_registry():
    slow = ("pulumi", "mlflow", "kubernetes", "httpx")
    program = f"import sys; import delivery.cli.main; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "whoever asks for help does not wait for them"


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
def test_what_cannot_be_done_is_refused_in_words_and_without_a_traceback(args, words):
    done = run(*args)
    assert done.returncode in {1, 2}
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


def test_the_environment_can_be_evaluated_by_a_shell():
    script = (
        'eval "$($PYTHON -c "from delivery.cli.main import main; main()" env)" && echo "$PULUMI_BACKEND_URL $KUBECONFIG $PATH"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "PYTHON": sys.executable}
    )
    backend, kubeconfig, path = done.stdout.split(" ", 2)
    assert backend == f"file://{CHECKOUT}/.modelstack/state"
    assert kubeconfig == f"{CHECKOUT}/.modelstack/kubeconfig"
    assert path.split(":")[0] == f"{CHECKOUT}/.modelstack/bin", "the stack's own engine comes first"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_how_to_go_on(ending, tmp_path):
    program = (
        "import sys, time\nfrom delivery.cli import main\nfrom delivery.stacks import backend\n"
        "backend.prepare = lambda: (print('ready', flush=True), time.sleep(60))\n"
        "sys.argv = ['modelstack', 'env']\nmain.main()"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.1)
    child.send_signal(ending)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 130
    assert said == "Interrupted. Run the same command again: it goes on from where it stopped.\n"


def test_a_full_disk_is_told_in_one_sentence():
    program = (
        "import errno, sys\nfrom delivery.cli import main\nfrom delivery.stacks import backend\n"
        "def full(): raise OSError(errno.ENOSPC, 'No space left on device', '/data/file')\n"
        "backend.prepare = full\nsys.argv = ['modelstack', 'env']\nmain.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The disk is full.\n  where: /data/file")
