"""The commands that read before they change, each with the outside things that it talks to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.faults import content
from tests.faults.things import API, BACKEND, DEV, ENDPOINT, MODELS, REGISTRY, STAGE, thing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.world import World


def nothing(_world: World) -> None:
    """Everything is up already."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A command line in a world. What it asks is not a choice: a test compares it with what it asks without a fault."""

    words: str
    talks_to: frozenset[str]
    """The things that the command asks before it changes anything."""
    indifferent: frozenset[str] = frozenset()
    """The things that it asks, too, and whose answers decide nothing here: a fault of one must not stop the command."""
    changes: frozenset[str] = frozenset()
    """What the command changes without a fault, as `World.snapshot` names it. Needed for `indifferent` things."""
    api_requests: str = ""
    """A regular expression: the requests to an API server that a fault hits; by default all of them. Most commands first ask
    the cluster which one it is and whose environment it has, so a fault of all requests would test nothing behind that."""
    asks_later: frozenset[str] = frozenset()
    """The things that it asks only after a change: a fault then stops a command that has begun, which is another matter."""
    prepare: Callable[[World], None] = nothing
    code: int = 0
    """The exit code without a fault."""
    like: str = ""
    """Another command line whose code asks the same things, and maybe more: the faults are tried with that one alone."""
    shows: frozenset[str] = frozenset()
    """The things whose faults the command shows in its table: it shows the other environments and ends with exit code 0."""


def _things(*, backend: bool = True, dev: tuple[str, ...] = (), stage: tuple[str, ...] = ()) -> frozenset[str]:
    named = [thing(kind, stack) for stack, kinds in ((DEV, dev), (STAGE, stage)) for kind in kinds]
    return frozenset([BACKEND, *named] if backend else named)


def canary(world: World) -> None:
    content.give_role(world, "canary", 4)


def shadow(world: World) -> None:
    content.give_role(world, "shadow", 4)


def another_workload(world: World) -> None:
    """dev lists a workload that has no release yet."""
    text = world.path("dev").read_text()
    world.path("dev").write_text(text.replace("{nodePort: 30001}\n", "{nodePort: 30001}\n    tuna: {nodePort: 30002}\n"))
    content.register_tuna(world)


def interrupted(world: World) -> None:
    """An earlier update was killed while it created an object."""
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "router", "namespace": "serving"}}
    urn = "urn:pulumi:dev::modelstack::kubernetes:core/v1:ConfigMap::router"
    resource = {"urn": urn, "type": "kubernetes:core/v1:ConfigMap", "inputs": inputs}
    world.backend.states["dev"]["deployment"]["pending_operations"] = [{"type": "creating", "resource": resource}]
    world.clusters["dev"].add("/api/v1/namespaces/serving/configmaps/router")


def interrupted_in_stage(world: World) -> None:
    interrupted(world)
    deployment = world.backend.states["dev"]["deployment"]
    world.backend.states["stage"]["deployment"]["pending_operations"] = deployment.pop("pending_operations")
    world.clusters["stage"].add("/api/v1/namespaces/serving/configmaps/router")


def only_dev(world: World) -> None:
    for stack in ("stage", "prod"):
        del world.backend.states[stack]


def jobs(world: World) -> None:
    content.run_jobs(world)


def running_job(world: World) -> None:
    """A training is in progress."""
    owner = {"kind": "CronJob", "name": "markdown-training", "uid": "u"}
    path = "/apis/batch/v1/namespaces/training/jobs/markdown-1"
    world.clusters["dev"].add(path, metadata={"ownerReferences": [owner]}, status={"conditions": []})


DEV_CLUSTER: Final = _things(backend=False, dev=(API,))
"""The UID of the checkout's own cluster is asked if the cluster of stage may be the same. That one is registered by its UID."""
PROMOTE: Final = _things(dev=(MODELS, REGISTRY), stage=(MODELS, REGISTRY, API))
PROMOTED: Final = frozenset({"files", "states", "images of stage", "models of stage"})
RECOVERY: Final = "/api/v1$|/configmaps/router"
"""The requests with which `up` finds out what an interrupted update has created."""
ENVIRONMENTS: Final = {
    "up": Scenario(words="up", talks_to=_things(dev=(REGISTRY, MODELS, API, ENDPOINT))),
    "up, another workload": Scenario(
        words="up",
        prepare=another_workload,
        talks_to=_things(dev=(REGISTRY, MODELS, API)),
        asks_later=_things(backend=False, dev=(ENDPOINT,)),
        api_requests="/jobs",
    ),
    "up, interrupted": Scenario(
        words="up --until environment",
        prepare=interrupted,
        talks_to=_things(dev=(API,)),
        asks_later=_things(backend=False, dev=(REGISTRY,)),
        api_requests=RECOVERY,
    ),
    "up of stage": Scenario(
        words="up --stack stage", talks_to=_things(dev=(MODELS,), stage=(API, ENDPOINT)), indifferent=DEV_CLUSTER
    ),
    "up of stage, interrupted": Scenario(
        words="up --stack stage --until environment",
        prepare=interrupted_in_stage,
        talks_to=_things(stage=(API,)),
        indifferent=DEV_CLUSTER,
        changes=frozenset({"states"}),
        api_requests=RECOVERY,
    ),
    "down": Scenario(words="down", prepare=only_dev, talks_to=_things(dev=(API,))),
    "down of stage": Scenario(
        words="down --stack stage", talks_to=_things(stage=(API,)), indifferent=DEV_CLUSTER, changes=frozenset({"states"})
    ),
    "train": Scenario(
        words="train markdown",
        prepare=jobs,
        talks_to=_things(dev=(API,)),
        asks_later=_things(backend=False, dev=(MODELS,)),
    ),
    "train, in progress": Scenario(words="train markdown --cancel", prepare=running_job, talks_to=_things(dev=(API,))),
    "backtest": Scenario(words="backtest markdown", prepare=jobs, talks_to=_things(dev=(API, MODELS)), api_requests="/jobs"),
    "release": Scenario(words="release markdown", talks_to=_things(dev=(REGISTRY, MODELS, API))),
    "release, dry run": Scenario(words="release markdown --dry-run", talks_to=_things(dev=(REGISTRY, MODELS)), like="release"),
    "predict": Scenario(words="predict markdown", talks_to=_things(dev=(MODELS, ENDPOINT))),
    "predict in stage": Scenario(words="predict markdown --stack stage", talks_to=_things(dev=(MODELS,), stage=(ENDPOINT,))),
    "status": Scenario(
        words="status", talks_to=_things(dev=(API,), stage=(API,)), shows=_things(backend=False, dev=(API,), stage=(API,))
    ),
}
"""The commands that create, change and show environments, models and images."""
PROMOTIONS: Final = {
    "promote": Scenario(
        words="promote markdown --to stage", talks_to=PROMOTE, indifferent=DEV_CLUSTER, like="promote and apply"
    ),
    "promote, dry run": Scenario(
        words="promote markdown --to stage --dry-run", talks_to=_things(dev=(MODELS,)), like="promote and apply"
    ),
    "promote and apply": Scenario(
        words="promote markdown --to stage --apply", talks_to=PROMOTE, indifferent=DEV_CLUSTER, changes=PROMOTED
    ),
    "canary": Scenario(
        words="canary markdown --stack stage --version 4 --traffic 10",
        talks_to=PROMOTE,
        indifferent=DEV_CLUSTER,
        like="promote and apply",
    ),
    "canary, more traffic": Scenario(
        words="canary markdown --stack stage --traffic 60",
        prepare=canary,
        talks_to=_things(dev=(REGISTRY,), stage=(REGISTRY, API)),
        indifferent=DEV_CLUSTER,
    ),
    "canary, aborted": Scenario(words="canary markdown --stack stage --abort", prepare=canary, talks_to=_things()),
    "canary, watched": Scenario(
        words="canary markdown --stack stage --watch --seconds 1 --min-requests 1",
        prepare=canary,
        talks_to=_things(stage=(API,)),
        code=4,
    ),
    "shadow": Scenario(
        words="shadow markdown --stack stage --version 4", talks_to=PROMOTE, indifferent=DEV_CLUSTER, like="promote and apply"
    ),
    "shadow, aborted": Scenario(
        words="shadow markdown --stack stage --abort", prepare=shadow, talks_to=_things(), like="canary, aborted"
    ),
    "shadow, compared": Scenario(
        words="shadow markdown --stack stage --compare", prepare=shadow, talks_to=_things(backend=False, stage=(API,))
    ),
    "approve": Scenario(words="approve markdown --stack prod --version 3 --key approver.json", talks_to=_things(dev=(MODELS,))),
    "rollback": Scenario(words="rollback markdown --stack dev", talks_to=_things()),
    "verify": Scenario(words="verify markdown --stack stage", talks_to=_things(dev=(MODELS,))),
    "history": Scenario(words="history markdown --stack stage", talks_to=_things()),
    "report": Scenario(words="report markdown --stack stage --version 4", talks_to=_things(dev=(MODELS,))),
    "report with a preview": Scenario(
        words="report markdown --stack stage --version 4 --preview", talks_to=_things(dev=(MODELS,)), like="report"
    ),
    "diff": Scenario(words="diff dev stage", talks_to=_things(backend=False)),
}
"""The commands that promote releases, and those that show and check them."""
SCENARIOS: Final = {**ENVIRONMENTS, **PROMOTIONS}
