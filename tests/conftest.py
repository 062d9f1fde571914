from __future__ import annotations

import os

# Formatting an Output gives a warning text by default, which would end up in a name or a command. In tests it is an error.
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "1"
