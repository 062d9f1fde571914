"""Ports, paths and limits of the prediction service: for its callers, its router, and the components that open its ports.

The serving image copies this file, and no other file of `common` except `__init__.py`.
"""

from __future__ import annotations

from typing import Final

PORT: Final = 9000
"""The port for predictions."""
METRICS_PORT: Final = 6000
METRICS_PATH: Final = "/metrics"
RECORDED_PORT: Final = 6001
"""The port for recent answers (workloads/serving/recording.py). No Service has this port: commands ask each pod."""
RECORDED_PATH: Final = "/recorded"
PREDICTIONS: Final = "/api/v1.0/predictions"
"""The path for predictions, as Seldon's protocol defines it. The service and its router have the same path."""
MAX_BODY_BYTES: Final = 1024 * 1024
"""The maximal size of a request body. The router and the service both refuse larger requests."""
