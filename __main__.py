"""The Pulumi program. It declares one environment from its stack file: `pulumi up --stack dev`."""

import pulumi

from common import clock
from common.errors import UserError
from infra import live_cluster, outputs, ownership, platform, stack_state
from infra.foundation.create import create
from infra.promotion import reading, rules
from infra.settings import loading

stack, backend = pulumi.get_stack(), ownership.backend_url()
try:
    settings = loading.from_config()
    deployed = reading.read(stack, settings)
    live = live_cluster.read(settings)
    own = ownership.StackOwnership.from_resources(stack_state.resources(stack))
    decided = ownership.decide(stack, backend, live, own)
    rules.enforce(stack, settings, deployed, clock.today())
except UserError as error:
    raise pulumi.RunError(str(error)) from None

if note := ownership.note(decided, stack):
    pulumi.warn(note)
foundation = create(settings)
parts = platform.compose(settings, foundation, backend)
releases = outputs.releases(settings, parts, deployed)
platform.record(foundation, parts, releases)
outputs.export(settings, foundation, parts, releases)
