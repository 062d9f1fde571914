"""`modelstack up`: from an empty machine to a prediction. Each stage checks what already exists and does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clients import container_registry
from common import naming, paths
from common.answers import Absent, Found, Unknown
from delivery.console.progress import Reporter, reporter
from delivery.environments import embedded_node
from delivery.environments.environment import Environment
from delivery.machine import adoption, owner, preflight, summary, toolbox
from delivery.releases.releaser import releaser_of
from delivery.stacks import adopted_state, backend, lock, recovery, stack_file, tiers_file
from delivery.training.training_runs import runs_of
from infra import live_cluster
from infra.settings import loading
from infra.tiers import targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.machine.owner import Decision
    from delivery.stacks.stack import Stack
    from infra.settings.model import Settings
    from infra.settings.releases import Release
    from infra.tiers.model import StackTier

STAGES = ("tools", "environment", "training", "release", "endpoint")


def main(stack: str, until: str, *, adopt: bool = False) -> None:
    """Runs the command."""
    preflight.check_current_user()
    loading.load(stack_file.path_of(stack))
    tier = tiers_file.resolve(stack)
    with reporter("up") as progress, lock.exclusive(f"up --stack {stack}"):
        Up(tier, until, progress, adopt).run()


@dataclass
class Up:
    """One run of the command for one stack. `until` is the last stage to run, one of `STAGES`."""

    tier: StackTier
    until: str
    progress: Reporter
    adopt: bool = False
    """Whether the stack becomes the owner of an environment that belongs to another one."""
    changed: bool = False
    """Whether this run has changed anything."""

    @property
    def name(self) -> str:
        """The name of the stack."""
        return self.tier.stack

    def run(self) -> None:
        """Runs the stages in order, up to `until`."""
        settings = self._settings()
        self._prepare(settings)
        if self._stops_after("tools"):
            return
        state = self._state()
        self._start_node(settings, state)
        decision = self._check(settings, state)
        stack = self._open_stack(settings, state, decision)
        self._recover(stack, settings)
        self.changed |= owner.become(stack, decision, settings, self.progress)
        if self.adopt:  # also if an earlier adoption was interrupted
            # The objects were applied by another state. The provider's usual settings follow in the update after this one.
            with adoption.overwriting():
                self._update(stack, "adoption")
        self._update(stack, "environment")
        environment = Environment(self.tier)
        if self._stops_after("environment"):
            return
        self._train(environment)
        if self._stops_after("training"):
            return
        released = self._release(environment)
        if self._stops_after("release"):
            return
        if released:
            self._update(stack, "endpoints")
        summary.show(Environment(self.tier), self.progress, changed=self.changed)

    def _settings(self) -> Settings:
        return loading.load(stack_file.path_of(self.name))

    def _stops_after(self, stage: str) -> bool:
        if self.until != stage:
            return False
        self.progress.print(f"Stopped after stage {stage}. Next: modelstack up --stack {self.name}")
        return True

    def _prepare(self, settings: Settings) -> None:
        node_config = embedded_node.config_of(settings)
        with self.progress.step("checks") as step:
            ports = preflight.ports_of(settings)
            running = node_config is None or embedded_node.is_ready(node_config)
            preflight.check(preflight.inspect_machine(), ports=ports, missing_builds=toolbox.missing_builds(), running=running)
            step.note("this machine meets the requirements")
        with self.progress.step("tools"):
            toolbox.ensure(self.progress, embedded=node_config is not None, images=True)

    def _state(self) -> adopted_state.State | None:
        """Returns the state of the stack; None if the backend does not have the stack."""
        from delivery.stacks.stack import Stack

        return Stack.select(self.name).state() if backend.has_stack(self.name) else None

    def _start_node(self, settings: Settings, state: adopted_state.State | None) -> None:
        """Starts a node that was stopped, also by a restart of the machine: only a cluster that runs says who is the owner."""
        node_config = embedded_node.config_of(settings)
        if node_config is None or embedded_node.is_ready(node_config):
            return
        # A stack of another backend may have started the node: then there is a kubeconfig. If the kubeconfig is lost, the state
        # of this stack says whether it has started the node.
        if paths.KUBECONFIG.is_file() or _has_node(settings, state or {}):
            from local.node.lifecycle.start import start

            start(node_config, self.progress)
            self.changed = True

    def _check(self, settings: Settings, state: adopted_state.State | None) -> Decision:
        """Checks that the stack may deploy to its target and may change the environment there. Writes nothing.

        The cluster is read once, so that both checks are about the same cluster.
        """
        live = live_cluster.read(settings)
        targets.enforce(self.tier, settings, live)
        return owner.check(self.name, settings, live, state, self.progress, adopt=self.adopt)

    def _open_stack(self, settings: Settings, state: adopted_state.State | None, decision: Decision) -> Stack:
        """Returns the stack, and creates it if it does not exist (`state` is None).

        Ties the stack file to the passphrase of the stack's state, and otherwise preserves it.
        """
        from delivery.stacks.stack import Stack

        file = stack_file.path_of(self.name)
        with self.progress.step(f"stack {self.name}"):
            backend.prepare()
            text = stack_file.read(file)
            if not stack_file.has_secrets(text):
                # A salt that does not fit the state belongs to the passphrase of another backend or of another checkout.
                salt = "" if state is None else adopted_state.salt(state)
                text = stack_file.without_salt(text) if state is None else stack_file.fitting(text, salt)
            new = state is None and decision.new
            if settings.cluster.owns_container_registry and new and settings.releases:
                self.progress.print(
                    f"{file.name} lists releases of a cluster that no longer exists. They are removed and created again."
                )
                text = stack_file.without_releases(text)
            stack_file.write(file, text)
            stack = Stack.create(self.name)
            # When the engine creates a stack, it adds a salt to the stack file and reformats the file. Restore the original
            # text, and add only the salt.
            after = stack_file.read(file)
            if after != text:
                stack_file.write(file, stack_file.with_salt(text, stack_file.salt(after)))
            return stack

    def _recover(self, stack: Stack, settings: Settings) -> None:
        """Repairs the state after an interrupted run."""
        with self.progress.step("recover from earlier runs") as step:
            recovery.release_locks(recovery.lock_folder(paths.BACKEND, self.name), self.progress)
            state = stack.state()
            resolved = recovery.resolve_pending(state, _objects(settings) if state.get("pending_operations") else None)
            if resolved.changed:
                stack.replace_state(resolved.state)
                if resolved.imported:
                    stack.refresh(self.progress, resolved.imported)
                step.note(f"{len(resolved.imported)} objects imported, {len(resolved.cleared)} operations to repeat")
            if _has_node(settings, state):
                self._drop_lost_releases(settings)

    def _drop_lost_releases(self, settings: Settings) -> None:
        """Removes the releases of workloads with an image that is no longer in the container registry: no pod could start.

        Raises:
            UserError: the container registry cannot be asked. No release is removed.
        """
        if not settings.cluster.owns_container_registry:
            return
        address = settings.images.registry
        for workload, releases in settings.releases.items():
            repository = naming.serving_repository(address, workload).removeprefix(f"{address}/")
            lost = [each.version for each in releases.served.values() if _is_lost(address, repository, each)]
            if lost:
                file = stack_file.path_of(self.name)
                self.progress.print(f"The image of {workload} version {lost[0]} is lost. Its release is created again.")
                stack_file.write(file, stack_file.without_workload(stack_file.read(file), workload))

    def _update(self, stack: Stack, name: str) -> None:
        with self.progress.step(name) as step:
            expected = stack.preview(self.progress)
            if expected:
                stack.up(self.progress, expected)
                self.changed = True
            step.note("" if expected else "nothing to change")

    def _unreleased(self, environment: Environment) -> Sequence[str]:
        """Returns the workloads that need their first release here. Empty if the stack gets its releases by promotion."""
        if self.tier.source is not None:
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
        """Releases each workload that has no release yet. Returns whether there was one."""
        unreleased = self._unreleased(environment)
        for workload in unreleased:
            releaser_of(environment).release(workload, None, self.progress)
            self.changed = True
        return bool(unreleased)


def _has_node(settings: Settings, state: adopted_state.State) -> bool:
    node = settings.cluster.node
    return node is not None and recovery.has_node(state, node.resource)


def _is_lost(address: str, repository: str, release: Release) -> bool:
    match container_registry.digest_of(address, repository, release.image):
        case Found():
            return False
        case Absent():
            return True
        case Unknown() as unknown:
            raise unknown.error(
                f"The container registry cannot be asked for the image of version {release.version}. No release is changed."
            )


def _objects(settings: Settings) -> recovery.ObjectLookup | None:
    """Returns a client for the stack's cluster; None if the stack has not created the cluster yet."""
    match live_cluster.client(settings.cluster):
        case Found(value=client):
            return client
        case Absent():
            return None
        case Unknown() as unknown:
            raise unknown.error("An earlier run was interrupted, and the cluster cannot be asked what that run has created.")
