"""Starts the microservice: `python -m workloads.serving`, with seldon-core's own flags and variables to set it otherwise.

The model is the folder `$MODELSTACK_MODEL` (`/model`), its identity the file `$MODELSTACK_RELEASE` (`/release.json`).
"""

from __future__ import annotations

import os
import sys
import warnings

DEFAULTS = {
    # Bodies and answers pass as bytes: seldon-core's own decoding takes NaN for a value and names no place in its errors.
    "PAYLOAD_PASSTHROUGH": "true",
    "GRPC_WORKERS": "0",
    # With two threads gunicorn keeps connections open, so that the router need not make one for each request.
    "GUNICORN_THREADS": "2",
    # Longer than the router keeps an idle connection: only the side that sends may close, or a request meets a closed door.
    "GUNICORN_KEEPALIVE": "75",
    "SELDON_LOG_LEVEL": "WARNING",
}
COMPONENT = "workloads.serving.model.ServedModel"


def main() -> None:
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)  # gunicorn 20 needs it
    sys.argv = ["seldon-core-microservice", COMPONENT, "--service-type", "MODEL", *sys.argv[1:]]
    # Reads the environment when it is imported.
    from seldon_core.microservice import main as microservice  # noqa: PLC0415 - see the line above

    microservice()


if __name__ == "__main__":
    main()
