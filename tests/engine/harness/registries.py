"""Real container registries that run during a test."""

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
"""The bcrypt hash of the password."""


@contextmanager
def registry_in(folder, *, login=False):
    """Runs a container registry that stores its images in a folder: its address. `login`: it requires name and password."""
    address = f"localhost:{free_port()}"
    (folder / "htpasswd").write_text(f"{NAME}:{_HASH}\n")
    auth = {"auth": {"htpasswd": {"realm": "cave", "path": "/registry/htpasswd"}}} if login else {}
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
                break  # the container registry answers with a request for a password
            except OSError:
                time.sleep(0.1)
        yield address
