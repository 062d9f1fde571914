"""The Pulumi program. It declares one environment from its stack file: `pulumi up --stack dev`."""

import pulumi

from common import clock
from common.errors import UserError
from infra import outputs, platform
from infra.foundation.create import create
from infra.promotion import reading, rules
from infra.settings import loading

try:
    settings = loading.from_config()
    deployed = reading.read(pulumi.get_stack(), settings)
    rules.enforce(pulumi.get_stack(), settings, deployed, clock.today())
except UserError as error:
    raise pulumi.RunError(str(error)) from None

foundation = create(settings)
outputs.export(settings, foundation, platform.compose(settings, foundation), deployed)
