from __future__ import annotations

import os

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
