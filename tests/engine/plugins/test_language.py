"""Plain `pulumi` runs Python programs through our language host, as it would through the official one."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.engine.harness.plain import project, template

__all__ = ["project", "template"]  # fixtures


def test_a_program_runs_through_preview_up_refresh_and_destroy(project):
    project.program(
        "import os, pulumi\n"
        "print('hello from', os.getcwd())\n"
        "pulumi.export('value', pulumi.Config().require('key'))\n"
        "pulumi.export('secret', pulumi.Config().require_secret('hidden'))\n"
        "pulumi.export('stack', pulumi.get_stack())\n"
    )
    project.run("config", "set", "key", "a value")
    project.run("config", "set", "--secret", "hidden", "nobody reads this")
    status, output = project.run("preview")
    assert status == 0, output
    assert f"hello from {project.folder}" in output, "what the program prints is shown"
    assert "warning" not in output, "the language host is found without a word"
    assert "download" not in output.lower(), "and nothing is fetched: all plugins are there"
    status, output = project.run("up", "--yes", "--skip-preview")
    assert status == 0, output
    assert re.search(r'value +: "a value"', output)
    assert re.search(r'stack +: "tests"', output)
    assert "nobody reads this" not in output
    for command in ("refresh", "destroy"):
        status, output = project.run(command, "--yes")
        assert status == 0, output


def test_modules_beside_the_program_are_found_and_those_of_the_plugins_are_not(project):
    (project.folder / "helper.py").write_text("VALUE = 1\n")
    project.program("import helper, random\nassert random.randint\nimport pulumi\npulumi.export('value', helper.VALUE)\n")
    status, output = project.run("preview")
    assert status == 0, output


@pytest.mark.parametrize(
    ("program", "told", "not_told"),
    [
        ("import not_installed\n", "ModuleNotFoundError: No module named 'not_installed'", "executor.py"),
        ("import pulumi\npulumi.Output.from_input(1).apply(lambda _: 1 / 0)\n", "ZeroDivisionError", "site-packages"),
        (
            "from common.errors import UserError\nraise UserError('The port is taken.', fix='free it')\n",
            "do:    free it",
            "Traceback",
        ),
        ("import sys\nsys.exit(3)\n", "the program exited with status 3", "Traceback"),
        ("import os\nos.kill(os.getpid(), 9)\n", "killed by SIGKILL", "Traceback"),
    ],
)
def test_a_program_that_fails_is_told_in_the_users_terms(project, program, told, not_told):
    project.program(program)
    status, output = project.run("preview")
    assert status != 0
    assert told in output
    assert not_told not in output


@pytest.mark.parametrize(("flags", "told"), [((), "sent [2]"), (("--debug",), "sent [0, 2]"), (("-v=3",), "sent [0, 2]")])
def test_debug_messages_are_sent_only_to_who_asked_for_them(project, flags, told):
    project.program("""import pulumi
from pulumi.runtime import settings
engine, sent = settings.get_engine(), []
log = engine.Log
engine.Log = lambda request: (sent.append(request.severity), log(request))
pulumi.log.debug("said quietly")
pulumi.log.warn("said aloud")
print("sent", sent)
""")
    status, output = project.run("preview", *flags)
    assert status == 0, output
    assert told in output, "the SDK says half a dozen things of each resource, and waits for each to arrive"
    assert "said aloud" in output
    assert ("said quietly" in output) == ("--debug" in flags)


def test_the_sdk_does_not_wait_for_all_outputs_again_for_each_one(project):
    project.program("""import asyncio
import pulumi_random
wait = asyncio.wait
def counted(*args, **kwargs):
    print("all are waited for")
    return wait(*args, **kwargs)
asyncio.wait = counted
for number in range(30):
    pulumi_random.RandomPet(f"pet-{number}").id.apply(len)
""")
    status, output = project.run("preview")
    assert status == 0, output
    assert output.count("all are waited for") < 10, "that grows with the square of the resources"


def test_the_option_virtualenv_chooses_the_interpreter(project):
    environment = project.folder / "env"
    (environment / "bin").mkdir(parents=True)
    # An interpreter that tells that it was the one: a virtual environment with the SDK in it takes half a minute to make.
    python = environment / "bin" / "python"
    python.write_text(f'#!/bin/sh\nCHOSEN=this exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    project.program("import os\nprint('ran with', os.environ['CHOSEN'])\n", "{name: python, options: {virtualenv: env}}")
    status, output = project.run("preview")
    assert status == 0, output
    assert "ran with this" in output


def test_a_virtualenv_that_is_not_there_is_told_with_what_makes_it(project):
    project.program("", "{name: python, options: {virtualenv: gone}}")
    status, output = project.run("preview")
    assert status != 0
    assert "gone/bin/python does not exist" in output
    assert "pulumi install" in output


def running_in(folder):
    """Processes that were started in a folder: the engine, the language host and the program are."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended meanwhile, or is not ours to look at
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_ends_at_once_without_a_traceback_and_leaves_nothing_running(project, number):
    project.program("import time\nprint('begun')\ntime.sleep(1000)\n")
    with project.start("preview") as process:
        assert any("begun" in line for line in process.stdout), "the program has started"
        assert any("executor.py" in line for line in running_in(project.folder))
        started = time.monotonic()
        process.send_signal(number)
        output = process.stdout.read()
    assert time.monotonic() - started < 15
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    deadline = time.monotonic() + 10
    while (left := running_in(project.folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left


def test_about_tells_the_interpreter_and_the_plugins(project):
    status, output = project.run("about")
    assert status == 0, output
    assert sys.executable in output
    assert re.search(r"resource +kubernetes +\d", output)


def test_a_policy_pack_runs(project):
    pack = project.folder / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    # `pulumi-policy` has an environment of its own: an analyzer that only answers shows that it is run.
    (pack / "__main__.py").write_text(
        "from concurrent import futures\n"
        "import grpc\n"
        "from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2\n"
        "class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):\n"
        "    def GetPluginInfo(self, request, context): return plugin_pb2.PluginInfo(version='1.0.0')\n"
        "    def GetAnalyzerInfo(self, request, context):\n"
        "        policy = analyzer_pb2.PolicyInfo(name='never', enforcementLevel=analyzer_pb2.MANDATORY)\n"
        "        return analyzer_pb2.AnalyzerInfo(name='pack', version='1.0.0', policies=[policy])\n"
        "    def Analyze(self, request, context): return analyzer_pb2.AnalyzeResponse()\n"
        "    def AnalyzeStack(self, request, context):\n"
        "        return analyzer_pb2.AnalyzeResponse(diagnostics=[analyzer_pb2.AnalyzeDiagnostic(\n"
        "            policyName='never', policyPackName='pack', policyPackVersion='1.0.0', message='the pack has looked',\n"
        "            enforcementLevel=analyzer_pb2.MANDATORY)])\n"
        "server = grpc.server(futures.ThreadPoolExecutor(4))\n"
        "analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(), server)\n"
        "port = server.add_insecure_port('127.0.0.1:0')\n"
        "server.start()\n"
        "print(port, flush=True)\n"
        "server.wait_for_termination()\n"
    )
    project.program("import pulumi\n")
    status, output = project.run("preview", "--policy-pack", str(pack))
    assert status != 0
    assert "the pack has looked" in output
