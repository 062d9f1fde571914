"""`modelstack up`: from an empty machine to a prediction. Every part first looks at what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clients import container_registry
from common import naming, paths
from delivery.console.progress import Reporter, reporter
from delivery.environments import embedded_node
from delivery.environments.environment import Environment
from delivery.machine import preflight, summary, toolbox
from delivery.releases.releaser import releaser_of
from delivery.stacks import backend, lock, recovery, stack_file
from delivery.training.training_runs import runs_of
from infra.promotion import requirements
from infra.settings import loading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.stacks.stack import Stack
    from infra.settings.model import Settings

ORDER = ("tools", "environment", "training", "release", "endpoint")


def main(stack: str, until: str) -> None:
    """Runs the command."""
    preflight.check_me()
    loading.load(stack_file.path_of(stack))
    with reporter("up") as progress, lock.exclusive(f"up --stack {stack}"):
        Up(stack, until, progress).run()


@dataclass
class Up:
    """One run of the command for one stack. `until` is one of `ORDER`."""

    name: str
    until: str
    progress: Reporter
    changed: bool = False
    """Whether there was anything to do."""

    def run(self) -> None:
        """Everything, in order, as far as asked."""
        settings = self._settings()
        self._prepare(settings)
        if self._done("tools"):
            return
        stack = self._open(settings)
        self._recover(stack, settings)
        self._update(stack, "environment")
        environment = Environment(self.name)
        if self._done("environment"):
            return
        self._train(environment)
        if self._done("training"):
            return
        released = self._release(environment)
        if self._done("release"):
            return
        if released:
            self._update(stack, "endpoints")
        summary.show(Environment(self.name), self.progress, changed=self.changed)

    def _settings(self) -> Settings:
        return loading.load(stack_file.path_of(self.name))

    def _done(self, part: str) -> bool:
        if self.until != part:
            return False
        self.progress.print(f"Done up to: {part}. Next: modelstack up --stack {self.name}")
        return True

    def _prepare(self, settings: Settings) -> None:
        found = embedded_node.config_of(settings)
        with self.progress.step("checks") as step:
            ports = preflight.ports_of(settings)
            running = found is None or embedded_node.is_ready(found)
            preflight.check(preflight.look(), ports=ports, missing_builds=toolbox.missing_builds(), running=running)
            step.note("this machine will do")
        with self.progress.step("tools"):
            toolbox.ensure(self.progress, embedded=found is not None, images=True)

    def _open(self, settings: Settings) -> Stack:
        """The stack, created where there is none yet. Its file is tied to this checkout's passphrase, else left alone."""
        from delivery.stacks.stack import Stack

        file = stack_file.path_of(self.name)
        with self.progress.step(f"stack {self.name}"):
            backend.prepare()
            text = stack_file.read(file)
            if not backend.has_stack(self.name) and not stack_file.has_secrets(text):
                text = stack_file.without_salt(text)  # of another checkout's passphrase
            if settings.cluster.kind == "embedded" and not backend.has_stack(self.name) and settings.releases:
                self.progress.print(
                    f"{file.name} lists releases of a cluster that no longer exists. They are removed and created again."
                )
                text = stack_file.without_releases(text)
            stack_file.write(file, text)
            stack = Stack.create(self.name)
            # Creating a stack, the engine writes its salt into the file, and the whole file anew.
            after = stack_file.read(file)
            if after != text:
                stack_file.write(file, stack_file.with_salt(text, stack_file.salt(after)))
            return stack

    def _recover(self, stack: Stack, settings: Settings) -> None:
        """Sets right what an interrupted run or a restart of the machine left."""
        with self.progress.step("what an earlier run left") as step:
            recovery.release_locks(recovery.lock_folder(paths.BACKEND, self.name), self.progress)
            state = stack.state()
            found = embedded_node.config_of(settings)
            if found is not None and recovery.has_node(state) and not embedded_node.is_ready(found):
                from local import node as local_node

                local_node.start(found, self.progress)
                self.changed = True
            mended = recovery.resolve_pending(state, _objects(settings) if state.get("pending_operations") else None)
            if mended.changed:
                stack.replace_state(mended.state)
                if mended.imported:
                    stack.refresh(self.progress, mended.imported)
                step.note(f"{len(mended.imported)} objects taken over, {len(mended.cleared)} to be made again")
            if recovery.has_node(state):
                self._drop_lost_releases(settings)

    def _drop_lost_releases(self, settings: Settings) -> None:
        """Removes releases whose image is in no registry any more: nothing could start them."""
        if settings.cluster.kind != "embedded":
            return
        address = settings.images.registry
        for workload, releases in settings.releases.items():
            repository = naming.serving_repository(address, workload).removeprefix(f"{address}/")
            served = releases.served.values()
            lost = [each.version for each in served if not container_registry.digest_of(address, repository, each.image)]
            if lost:
                file = stack_file.path_of(self.name)
                self.progress.print(f"The image of {workload} version {lost[0]} is lost: its release is made anew.")
                stack_file.write(file, stack_file.without_workload(stack_file.read(file), workload))

    def _update(self, stack: Stack, what: str) -> None:
        with self.progress.step(what) as step:
            expected = stack.preview(self.progress)
            if expected:
                stack.up(self.progress, expected)
                self.changed = True
            step.note("" if expected else "nothing to change")

    def _unreleased(self, environment: Environment) -> Sequence[str]:
        """The workloads whose first release is to be made here. Elsewhere releases come by promotion."""
        if requirements.for_stack(self.name).source is not None:
            return []
        settings = environment.settings
        return [name for name in settings.workloads if name not in settings.releases]

    def _train(self, environment: Environment) -> None:
        for workload in self._unreleased(environment):
            newest = environment.model_registry.newest(workload)
            if newest is None or runs_of(environment, workload).running() is not None:
                runs_of(environment, workload).train(self.progress)
                self.changed = True

    def _release(self, environment: Environment) -> bool:
        """Releases what has no release yet, and tells whether there was any."""
        unreleased = self._unreleased(environment)
        for workload in unreleased:
            releaser_of(environment).release(workload, None, self.progress)
            self.changed = True
        return bool(unreleased)


def _objects(settings: Settings) -> recovery.ObjectLookup | None:
    from clients.kubernetes import KubernetesClient

    if settings.cluster.kind == "embedded":
        return (
            KubernetesClient.from_kubeconfig(paths.KUBECONFIG.read_text(encoding="utf-8"))
            if paths.KUBECONFIG.is_file()
            else None
        )
    if settings.cluster.kind == "existing":
        return KubernetesClient.from_file(settings.cluster.kubeconfig, settings.cluster.context)
    return None
