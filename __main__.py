"""The Pulumi program. It declares one environment from its stack file: `pulumi up --stack dev`."""

import pulumi

from common import clock
from common.errors import UserError
from infra import live_cluster, outputs, platform
from infra.foundation import Foundation
from infra.promotion import reading, rules
from infra.settings import loading
from infra.tiers import loading as tiers
from infra.tiers import targets

try:
    settings = loading.from_config()
    tier = tiers.resolve(pulumi.get_stack())
    targets.enforce(tier, settings, live_cluster.read(settings))
    deployed = reading.read(tier, settings)
    rules.enforce(tier, settings, deployed, clock.today())
except UserError as error:
    raise pulumi.RunError(str(error)) from None

foundation = Foundation.create(settings)
outputs.export(settings, foundation, platform.compose(settings, foundation), deployed)
