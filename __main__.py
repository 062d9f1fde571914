"""The Pulumi program. It declares one environment from its stack file: `pulumi up --stack dev`."""

import pulumi

from common import clock
from common.errors import UserError
from infra import live_cluster, outputs, ownership, platform, stack_state
from infra.foundation.create import create
from infra.promotion import reading, rules
from infra.settings import loading
from infra.tiers import loading as tiers
from infra.tiers import targets

stack, backend = pulumi.get_stack(), ownership.backend_url()
try:
    settings = loading.from_config()
    tier = tiers.resolve(stack)
    live = live_cluster.read(settings)
    targets.enforce(tier, settings, live)
    own = ownership.StackOwnership.from_resources(stack_state.resources(stack))
    decided = ownership.decide(stack, backend, live, own)
    deployed = reading.read(tier, settings)
    rules.enforce(tier, settings, deployed, clock.today())
except UserError as error:
    raise pulumi.RunError(str(error)) from None

if note := ownership.note(decided, stack):
    pulumi.warn(note)
foundation = create(settings)
parts = platform.compose(settings, foundation, backend)
releases = outputs.releases(settings, parts, deployed)
platform.record(foundation, parts, releases)
outputs.export(settings, foundation, parts, releases)
