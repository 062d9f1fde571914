"""A caller that sends requests to an endpoint for as long as a test lasts."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import httpx

from tests.e2e.conftest import PREDICTIONS


@dataclass(eq=False)  # two threads are never equal
class Load(threading.Thread):
    """Sends the same request again and again until the context ends, and records answers and failures."""

    url: str
    request: dict
    failures: list[str] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)

    def __post_init__(self):
        super().__init__(daemon=True)
        self._ending = threading.Event()

    def run(self):
        with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
            while not self._ending.is_set():
                try:
                    answer = client.post(PREDICTIONS, json=self.request).raise_for_status()
                    self.versions.append(int(answer.json()["meta"]["tags"]["version"]))
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    self.failures.append(f"{time.strftime('%H:%M:%S')} {error!r}")
                self._ending.wait(0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self._ending.set()
        self.join(60)
