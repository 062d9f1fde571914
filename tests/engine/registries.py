"""A real container registry for the length of a test."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import contextmanager

from local import userland
from tests.engine.conftest import Quiet, free_port, running


@contextmanager
def registry_in(folder):
    """Serves the images in a folder, and gives the address."""
    address = f"localhost:{free_port()}"
    (folder / "config.yml").write_text(
        json.dumps({"version": 0.1, "storage": {"filesystem": {"rootdirectory": "/registry"}}, "http": {"addr": address}})
    )
    root = userland.ensure(Quiet())
    argv = userland.argv(root, ["docker-registry", "serve", "/registry/config.yml"], [(folder, "/registry")])
    with running(folder / "log", "setpriv", "--pdeathsig", "KILL", *argv):
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{address}/v2/").close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
