"""Three environments with all that is outside of them: what a command reads, what it may change, and a proxy before each."""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import json
import signal
import sys
import traceback
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

from semver import VersionInfo

from clients import container_registry
from common import clock, paths
from delivery.cli import main
from delivery.environments import embedded_node, held_out
from delivery.machine import down, preflight, toolbox
from delivery.releases import releaser
from delivery.stacks import process
from delivery.stacks.engine import Engine
from infra.tiers import loading
from local import images
from local.node.lifecycle import start, stop
from tests.faults import content
from tests.faults.injector import Proxy, Request, Response
from tests.faults.outside.api_servers import FakeApiServer
from tests.faults.outside.container_registries import FakeContainerRegistry
from tests.faults.outside.engines import FakeBackend, FakeEngine, install
from tests.faults.outside.tracking_servers import FakeTrackingServer
from tests.faults.things import API, BACKEND, DEV, ENDPOINT, MODELS, REGISTRY, STAGE, thing, things
from tests.releases import APPROVER, KEY, MARKDOWN, TODAY
from tests.unit.delivery.machine.test_preflight import GOOD
from workloads import catalogue


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command did: exit code, what it printed, and the traceback of an error that it let through."""

    code: int
    out: str
    err: str
    traceback: str = ""


class Servers:
    """The outside things and their proxies. They outlive the tests; `reset` gives them their content."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.proxies: dict[str, Proxy] = {}
        refusals = {
            BACKEND: FakeBackend.refusal,
            REGISTRY: FakeContainerRegistry.refusal,
            MODELS: FakeTrackingServer.refusal,
            API: FakeApiServer.refusal,
        }
        for name in things():
            kind = name.partition(" of ")[0]
            refusal = {"refusal": refusals[kind]} if kind in refusals else {}
            self.proxies[name] = Proxy(name, self._upstream(name), **refusal)

    def _upstream(self, name: str):
        def answer(request: Request) -> Response:
            return self.answers[name](request)

        return answer

    def close(self) -> None:
        for proxy in self.proxies.values():
            proxy.close()


class World:
    """A checkout with the stack files of dev, stage and prod, and commands that run in it.

    Everything is up. Version 4 is stable in dev, version 3 in stage and prod; version 5 is registered and not released.
    """

    def __init__(self, servers: Servers, executable, folder, monkeypatch) -> None:
        self.folder, self.monkeypatch, self.calls = folder, monkeypatch, []
        self.proxies = servers.proxies
        self.registries = {stack: FakeContainerRegistry() for stack in (DEV, STAGE)}
        self.models = {stack: FakeTrackingServer() for stack in (DEV, STAGE)}
        self.clusters = {stack: FakeApiServer() for stack in (DEV, STAGE)}
        self.backend = FakeBackend()
        servers.answers.update({BACKEND: self.backend})
        for stack in (DEV, STAGE):
            servers.answers |= {
                thing(REGISTRY, stack): self.registries[stack],
                thing(MODELS, stack): self.models[stack],
                thing(API, stack): self.clusters[stack],
                thing(ENDPOINT, stack): content.endpoint({DEV: 4, STAGE: 3}[stack]),
            }
        for proxy in self.proxies.values():
            proxy.requests.clear()
        content.fill(self)
        self._patch()
        (paths.BIN / container_registry.EXECUTABLE).symlink_to(executable)

    def address(self, kind: str, stack: str) -> str:
        return self.proxies[thing(kind, DEV if stack == DEV else STAGE)].address

    def path(self, stack: str):
        return self.folder / f"Pulumi.{stack}.yaml"

    def write(self, stack: str, block) -> None:
        """Writes releases to a stack file, as if the environment had them already."""
        self.path(stack).write_text(content.with_releases(self.path(stack).read_text(), json.dumps(block)))
        state = self.backend.states[stack]
        state["applied"] = {"markdown": block}
        state["outputs"] |= content.releases_output(block)

    def run(self, *words: str) -> Outcome:
        """Runs a command line in this process."""
        out, err, trace = io.StringIO(), io.StringIO(), ""
        self.monkeypatch.setattr(sys, "argv", ["modelstack", *words])
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
            except BaseException as error:  # noqa: BLE001 whatever it is, a user would see its traceback
                code, trace = 1, "".join(traceback.format_exception(error))
        return Outcome(code=code, out=out.getvalue(), err=err.getvalue(), traceback=trace)

    def snapshot(self) -> dict[str, object]:
        """Everything that a command may change, by its name."""
        files = {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and not _uninteresting(file.relative_to(self.folder).parts)
        }
        taken: dict[str, object] = {"files": files, "states": self.backend.states, "node": self.calls}
        for stack in (DEV, STAGE):
            repositories = self.registries[stack].repositories
            taken[f"images of {stack}"] = {name: (each.manifests, each.tags) for name, each in repositories.items()}
            taken[f"models of {stack}"] = (self.models[stack].runs, self.models[stack].versions)
            taken[f"objects of {stack}"] = self.clusters[stack].objects
        return copy.deepcopy(taken)

    def asked_before_a_change(self, *words: str) -> tuple[Outcome, frozenset[str], frozenset[str]]:
        """Runs a command. Returns what it did, the things that it asked before it changed anything, and all that it asked."""
        before, early = self.snapshot(), set[str]()

        def see(name: str, _request: Request) -> None:
            if self.snapshot() == before:
                early.add(name)

        for name, proxy in self.proxies.items():
            proxy.seen = partial(see, name)
        try:
            outcome = self.run(*words)
        finally:
            for proxy in self.proxies.values():
                proxy.seen = lambda _request: None
        return outcome, frozenset(early), frozenset(name for name, proxy in self.proxies.items() if proxy.requests)

    def _patch(self) -> None:
        put = self.monkeypatch.setattr
        for name in ("STATE", "BACKEND", "PASSPHRASE", "PULUMI_HOME", "BIN", "NODE", "IMAGES", "KUBECONFIG", "LOGS"):
            put(paths, name, self.folder / getattr(paths, name).relative_to(paths.CHECKOUT))
        put(paths, "CHECKOUT", self.folder)
        put(held_out, "HELD_OUT", paths.STATE / "held-out")
        put(releaser, "SCRATCH", paths.STATE / "scratch")
        put(down, "_ENVIRONMENT_PATHS", (paths.NODE, paths.BACKEND, paths.PASSPHRASE, paths.KUBECONFIG))
        install(paths.BIN)
        paths.KUBECONFIG.write_text(json.dumps(content.kubeconfig(self, DEV)))
        paths.PASSPHRASE.write_text("a passphrase")
        (self.folder / "kubeconfig").write_text(json.dumps(content.kubeconfig(self, STAGE)))
        (self.folder / "Pulumi.yaml").write_text("name: modelstack\nruntime: python\n")
        put(loading, "FILE", self.folder / "tiers.toml")
        loading.FILE.write_text(content.tiers(self))
        key = self.folder / "approver.json"
        key.write_text(json.dumps({"name": APPROVER.name, "secret": base64.b64encode(KEY.private_bytes_raw()).decode()}))
        key.chmod(0o600)
        engine = FakeEngine(f"http://{self.proxies[BACKEND].address}")
        self.monkeypatch.setenv("PULUMI_BACKEND_URL", engine.url)
        for name in ("PULUMI_CONFIG_PASSPHRASE", "NO_PROXY", "no_proxy", "KUBECONFIG"):
            self.monkeypatch.setenv(name, "")
        self.monkeypatch.setenv("DOCKER_CONFIG", str(self.folder))
        put(process, "run", engine.run)
        put(Engine, "find", classmethod(lambda cls: cls("pulumi", VersionInfo(3, 205, 0))))
        put(preflight, "check_current_user", lambda: None)
        put(preflight, "inspect_machine", lambda: GOOD)
        put(toolbox, "missing_builds", dict)
        put(toolbox, "ensure", lambda _progress, **_: None)
        put(embedded_node, "is_ready", lambda config: config is not None)
        put(start, "start", lambda _config, _progress: self.calls.append("start"))
        put(stop, "stop", lambda _config, _progress: self.calls.append("stop"))
        put(images, "Builder", lambda: SimpleNamespace(build=lambda *_: "", push=self._push))
        put(clock, "today", lambda: TODAY)
        put(signal, "signal", lambda *_: None)
        put(catalogue, "WORKLOADS", {**catalogue.WORKLOADS, "markdown": MARKDOWN})
        self.monkeypatch.chdir(self.folder)

    def _push(self, name: str, _progress) -> str:
        repository, _, tag = name.partition("/")[2].rpartition(":")
        return self.registries[DEV].repository(repository).add_image(name, tag)


def _uninteresting(parts: tuple[str, ...]) -> bool:
    """Logs, the engine's home, the lock that the kernel releases, and copies of artifacts that never change."""
    return parts[0] == ".modelstack" and parts[1] in {"held-out", "lock", "logs", "pulumi"}
