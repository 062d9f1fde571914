"""One environment, from its stack file to its outputs: `pulumi up --stack dev`."""

import pulumi

from common import clock
from common.errors import UserError
from infra import foundation, outputs, platform
from infra.promotion import deployed, rules
from infra.settings import loading

try:
    wanted = loading.from_config()
    others = deployed.read(pulumi.get_stack(), wanted)
    rules.enforce(pulumi.get_stack(), wanted, others, clock.today())
except UserError as problem:
    raise pulumi.RunError(str(problem)) from None

ground = foundation.create(wanted)
outputs.export(wanted, ground, platform.compose(wanted, ground), others)
