"""After `down`, the machine is as it was. Runs last: afterwards there is no environment."""

import shutil
import subprocess

import psutil
import pytest

from common import paths
from delivery.stacks import stack_file
from local.node.cgroups import Cgroup
from local.node.config import NodeConfig


def host(*command):
    """What a command of the machine prints; nothing where the machine lacks it."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def processes():
    """The machine's processes; by their start as well, for ids are used again."""
    return {
        (found.pid, found.info["create_time"]): found.info["name"] for found in psutil.process_iter(["create_time", "name"])
    }


def of_the_node():
    """Those of this checkout's node, what runs in its pods included."""
    inside = Cgroup(NodeConfig().name).processes()
    return {process: name for process, name in processes().items() if process[0] in inside}


@pytest.mark.timeout(600)
def test_down_leaves_nothing_behind(user):
    tied = user.stack_file.read_text()
    before = of_the_node()
    assert {"containerd", "nginx", "postgres"} <= set(before.values()), "services and pods are found, so their end is seen"
    links, rules = host("ip", "-o", "link"), host("iptables-save")
    user.modelstack("down", "--stack", user.stack)
    assert str(paths.STATE) not in host("cat", "/proc/self/mountinfo")
    assert before.keys() & processes().keys() == set()
    assert not Cgroup(NodeConfig().name).exists()
    assert {line.split(":")[1] for line in host("ip", "-o", "link").splitlines()} <= {
        line.split(":")[1] for line in links.splitlines()
    }
    assert host("iptables-save").count("\n") <= rules.count("\n")
    assert [path for path in (paths.NODE, paths.BACKEND, paths.PASSPHRASE, paths.KUBECONFIG) if path.exists()] == []
    assert user.stack_file.read_text() == stack_file.without_salt(stack_file.without_releases(tied)), "as it was committed"


def test_down_again_is_fine(user):
    assert "Nothing of the environment is left" in user.modelstack("down", "--stack", user.stack)


def test_commands_that_need_an_environment_say_that_there_is_none(user):
    for command in (["train", "markdown"], ["release", "markdown"], ["predict", "markdown"]):
        said = user.modelstack(*command, code=1)
        assert "make up" in said
        assert "Traceback" not in said
    assert "not up" in user.modelstack("status", "--stack", user.stack)
