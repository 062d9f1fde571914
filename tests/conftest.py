from __future__ import annotations

import os
from pathlib import Path

# Formatting an Output gives a warning text by default, which would end up in a name or a command. In tests it is an error.
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "1"

try:
    from hypothesis import settings
except ImportError:  # the environments of training and serving have none
    pass
else:
    # Tests assert no times: on a busy machine an example may take as long as it likes.
    settings.register_profile("modelstack", deadline=None)
    settings.load_profile("modelstack")

try:
    from infra.tiers import loading
except ImportError:  # see above
    pass
else:
    # The product's own file is edited by whoever uses the product: a team adds its tiers, stacks and targets.
    loading.FILE = Path(__file__).with_name("stack_files") / "tiers.toml"
