"""A machine for tests of `up` and `down`: a checkout in a temporary folder, and an engine, a node and training that only record
what the commands ask of them."""

from __future__ import annotations

from types import SimpleNamespace

from clients.model_registry import ModelVersion
from common import paths
from common.answers import Found
from delivery.console.progress import PlainSink, Reporter
from delivery.environments import embedded_node, environment
from delivery.environments.outputs import Outputs
from delivery.machine import down, preflight, summary, toolbox, up
from delivery.stacks import backend, recovery, stack, stack_file
from infra import live_cluster
from local.node.lifecycle import start, stop
from tests.harness import LIVE_CLUSTER
from tests.releases import RUN, release
from tests.tiers import clusters_answer, tier_of
from tests.unit.delivery.machine.test_preflight import GOOD

EMBEDDED = """\
# One person's environment.
config:
  modelstack:cluster: {kind: embedded}
  modelstack:images: {registry: "localhost:5000", base: 'localhost:5000/base:bookworm'}   # both in the node
  modelstack:tracking: {nodePort: 30000}
  modelstack:workloads:
    markdown: {nodePort: 30001}
"""
EXISTING = """\
config:
  modelstack:cluster: {kind: existing, context: c, host: c.example, kubeconfig: %s}
  modelstack:images: {registry: registry.example}
  modelstack:workloads:
    markdown: {nodePort: 30001}
"""
SALT = "encryptionsalt: v1:new"
NODE_URN = "urn:pulumi:dev::modelstack::modelstack:cluster:EmbeddedCluster$command:local:Command::node"


class Machine:
    """The machine. `calls` has what the commands asked of it, in order."""

    def __init__(self, folder, monkeypatch, printed):
        self.folder, self.calls, self.printed = folder, [], printed
        self.stacks, self.state, self.plans = set(), {}, []
        self.node_ready, self.fails, self.registered, self.running = True, {}, {}, set()
        self.progress = Reporter([PlainSink(printed)])
        for name in ("STATE", "BACKEND", "NODE", "PASSPHRASE", "KUBECONFIG", "LOGS", "TOUR"):
            monkeypatch.setattr(paths, name, folder / getattr(paths, name).relative_to(paths.CHECKOUT))
        monkeypatch.setattr(paths, "CHECKOUT", folder)
        monkeypatch.setattr(
            down, "_ENVIRONMENT_PATHS", (paths.NODE, paths.BACKEND, paths.PASSPHRASE, paths.KUBECONFIG, paths.TOUR)
        )
        monkeypatch.setattr(preflight, "check_current_user", lambda: None)
        monkeypatch.setattr(preflight, "inspect_machine", lambda: GOOD)
        monkeypatch.setattr(toolbox, "missing_builds", dict)
        monkeypatch.setattr(toolbox, "ensure", lambda _progress, **_: self.call("tools"))
        monkeypatch.setattr(embedded_node, "is_ready", lambda config: config is not None and self.node_ready)
        monkeypatch.setattr(start, "start", lambda _config, _progress: self.call("start node"))
        monkeypatch.setattr(stop, "stop", lambda _config, _progress: self.call("stop node"))
        self.live = LIVE_CLUSTER
        self.asked = clusters_answer(monkeypatch, lambda: self.live, c="stage")
        self.environments = Found({})
        monkeypatch.setattr(live_cluster, "environments", lambda _cluster: self.environments)
        monkeypatch.setattr(backend, "prepare", lambda: None)
        monkeypatch.setattr(backend, "stacks", lambda: sorted(self.stacks))
        monkeypatch.setattr(recovery, "release_locks", lambda _folder, _progress: 0)
        monkeypatch.setattr(stack, "Stack", SimpleNamespace(create=self._create, select=self._stack))
        monkeypatch.setattr(up, "Environment", self._environment)
        monkeypatch.setattr(up, "runs_of", self._runs)
        monkeypatch.setattr(up, "releaser_of", lambda opened: SimpleNamespace(release=self._release))
        monkeypatch.setattr(summary, "show", lambda _environment, _progress, *, changed: self.call(f"summary {changed=}"))

    def call(self, what):
        """Records a call, or fails if the test says that it fails."""
        self.calls.append(what)
        if what in self.fails:
            raise self.fails[what]

    def write(self, text, name="dev"):
        stack_file.path_of(name).write_text(text)

    def read(self, name="dev"):
        return stack_file.path_of(name).read_text()

    def up(self, until="endpoint", name="dev"):
        up.Up(tier_of(name), until, self.progress).run()
        return self.calls

    def _stack(self, name):
        return FakeStack(self, name)

    def _create(self, name):
        """Creates a stack as the engine does: it adds a salt if there is none, and formats the whole file anew."""
        if name not in self.stacks:
            self.stacks.add(name)
            text = "".join(line for line in self.read(name).splitlines(keepends=True) if not line.startswith("#"))
            self.write(text if stack_file.salt(text) else f"{SALT}\n{text}", name)
        return self._stack(name)

    def _environment(self, tier):
        return FakeEnvironment(self, tier)

    def _runs(self, _environment, workload):
        def train(_progress):
            self.call(f"train {workload}")
            self.registered[workload] = ModelVersion(name=workload, version=1, run=RUN)

        return SimpleNamespace(running=lambda: f"{workload}-0" if workload in self.running else None, train=train)

    def _release(self, workload, version, _progress):
        self.call(f"release {workload}")
        block = {"stable": 1, "versions": [release(1)]}
        self.write(stack_file.with_releases(self.read(), workload, block))
        self.plans.append(5)


class FakeStack:
    def __init__(self, machine, name):
        self.machine, self.name = machine, name

    def preview(self, _progress):
        return self.machine.plans.pop(0) if self.machine.plans else 0

    def up(self, _progress, expected):
        self.machine.call(f"up {self.name} {expected}")

    def refresh(self, _progress, targets):
        self.machine.call(f"refresh {targets}")

    def state(self):
        return self.machine.state

    def replace_state(self, state):
        self.machine.call("replace state")
        self.machine.state = state

    def destroy(self, _progress):
        self.machine.call(f"destroy {self.name}")

    def remove(self):
        self.machine.call(f"remove {self.name}")
        self.machine.stacks.discard(self.name)


class FakeEnvironment(environment.Environment):
    """An environment whose model registry has what was registered on the machine."""

    def __init__(self, machine, tier):
        object.__setattr__(self, "tier", tier)
        object.__setattr__(self, "machine", machine)

    @property
    def model_registry(self):
        return SimpleNamespace(newest=self.machine.registered.get)

    @property
    def outputs(self):
        return Outputs.model_validate({})
