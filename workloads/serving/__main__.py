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
    "GUNICORN_THREADS": "1",  # see worker.py
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
    from seldon_core import microservice  # noqa: PLC0415 - see the line above

    from workloads.serving.worker import Application  # noqa: PLC0415 - imports the same

    microservice.UserModelApplication = Application
    microservice.main()


if __name__ == "__main__":
    main()
