"""One environment, from its stack file to its outputs: `pulumi up --stack dev`."""

import pulumi

from infra import clock, environment, known, outputs, platform, promotion, settings
from infra.errors import UserError

try:
    wanted = settings.from_config()
    others = known.read(pulumi.get_stack(), wanted)
    promotion.enforce(pulumi.get_stack(), wanted, others, clock.today())
except UserError as problem:
    raise pulumi.RunError(str(problem)) from None

ground = environment.create(wanted)
outputs.export(wanted, ground, platform.compose(wanted, ground), others)
