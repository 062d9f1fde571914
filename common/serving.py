"""The service around a model, as far as others have to know it: who asks it, who routes to it and who opens its ports.

The serving image copies this file and no other of `common`.
"""

from __future__ import annotations

from typing import Final

PORT: Final = 9000
"""Answers predictions."""
METRICS_PORT: Final = 6000
METRICS_PATH: Final = "/metrics"
RECORDED_PORT: Final = 6001
"""Recent answers (workloads/serving/recording.py). In no Service: it is read pod by pod."""
RECORDED_PATH: Final = "/recorded"
PREDICTIONS: Final = "/api/v1.0/predictions"
"""The path, of Seldon's protocol, at which predictions are asked for: of the service, and of the router before it."""
MAX_BODY_BYTES: Final = 1024 * 1024
"""Of a request. The router refuses larger ones, which spares the service the reading; the service refuses them, too."""
