"""Starts the microservice: `python -m workloads.serving`. Flags and variables of seldon-core override the defaults below.

The model is in the folder `$MODELSTACK_MODEL` (default `/model`). Its identity is in the file `$MODELSTACK_RELEASE` (default
`/release.json`).
"""

from __future__ import annotations

import os
import sys
import warnings

DEFAULTS = {
    # Bodies and answers pass as bytes: seldon-core's own decoding accepts NaN, and its errors do not name row or column.
    "PAYLOAD_PASSTHROUGH": "true",
    "GRPC_WORKERS": "0",
    "GUNICORN_THREADS": "1",  # see worker.py
    # Longer than the router keeps an idle connection. Otherwise the service could close a connection while the router sends
    # a request on it.
    "GUNICORN_KEEPALIVE": "75",
    "SELDON_LOG_LEVEL": "WARNING",
}
COMPONENT = "workloads.serving.model.ServedModel"


def main() -> None:
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)  # gunicorn 20 needs it
    sys.argv = ["seldon-core-microservice", COMPONENT, "--service-type", "MODEL", *sys.argv[1:]]
    # seldon-core reads environment variables when it is imported.
    from seldon_core import microservice  # noqa: PLC0415 - see the line above

    from workloads.serving.worker import Application  # noqa: PLC0415 - imports seldon-core, too

    microservice.UserModelApplication = Application
    microservice.main()


if __name__ == "__main__":
    main()
