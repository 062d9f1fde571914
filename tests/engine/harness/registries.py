"""Real container registries for the length of a test."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

from local import userland
from tests.engine.harness.processes import Quiet, free_port, running

NAME, PASSWORD = "ali", "open sesame"
_HASH = "$2b$04$QGoLRB2lC893N5oEbZ4DtOTOKx8KOeBdUmzo/uCQ2hW0Quesg5/py"
"""Of the password, by bcrypt."""


@contextmanager
def registry_in(folder, *, closed=False):
    """Serves the images in a folder, and gives the address. `closed`: to those alone who know name and password."""
    address = f"localhost:{free_port()}"
    (folder / "htpasswd").write_text(f"{NAME}:{_HASH}\n")
    auth = {"auth": {"htpasswd": {"realm": "cave", "path": "/registry/htpasswd"}}} if closed else {}
    storage = {"filesystem": {"rootdirectory": "/registry"}}
    (folder / "config.yml").write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": address}, **auth}))
    root = userland.ensure(Quiet())
    argv = userland.argv(root, ["docker-registry", "serve", "/registry/config.yml"], [(folder, "/registry")])
    with running(folder / "log", "setpriv", "--pdeathsig", "KILL", *argv):
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{address}/v2/").close()
                break
            except urllib.error.HTTPError:
                break  # it asks for a password
            except OSError:
                time.sleep(0.1)
        yield address
