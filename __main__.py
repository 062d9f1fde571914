"""One environment, from its stack file to its outputs: `pulumi up --stack dev`."""

import pulumi

from common import clock
from common.errors import UserError
from infra import outputs, platform
from infra.foundation import Foundation
from infra.promotion import reading, rules
from infra.settings import loading

try:
    wanted = loading.from_config()
    deployed = reading.read(pulumi.get_stack(), wanted)
    rules.enforce(pulumi.get_stack(), wanted, deployed, clock.today())
except UserError as problem:
    raise pulumi.RunError(str(problem)) from None

foundation = Foundation.create(wanted)
outputs.export(wanted, foundation, platform.compose(wanted, foundation), deployed)
