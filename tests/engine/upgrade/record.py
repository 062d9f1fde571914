"""Turns environments that are up into test data: their states without secrets, their stack files and approvers.

Run it in the checkout that the environments are up in, with the variables of `modelstack env`:

    python tests/engine/upgrade/record.py --to tests/engine/upgrade/NAME dev stage prod

It imports nothing of the product, so that it also works beside an older checkout (`--checkout`). It writes nothing unless every
secret has been replaced and no private word of this machine is left.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import getpass
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
"""The key and the value that mark a secret in the engine's JSON."""
PASSWORD = "random:index/randomPassword:RandomPassword"
DEBUGGING = ("sourcePosition", "stackTrace")
"""Where the program declared a resource: paths of this machine, which the engine shows and never compares."""
PUBLIC = {"admin"}
"""Values that stand beside secrets and are none."""
CREDENTIAL = re.compile(r'((?:-data|token|password)"?:\s*"?)([A-Za-z0-9+/=._-]{16,})')
"""Keys, certificates and tokens in a kubeconfig."""
FAKE = "notasecret"


class RefusalError(Exception):
    """The state holds something that may not be published."""


def fake(real, origin):
    """A value of the same length and alphabet that is always the same for the same origin."""
    digest = hashlib.sha256(origin.encode()).hexdigest()
    return (FAKE + digest * (len(real) // len(digest) + 1))[: len(real)]


def secrets(value, place):
    """Every secret text of a state, with the place where it stands."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            yield from leaves(json.loads(value["plaintext"]), place)
        else:
            for key, item in value.items():
                yield from secrets(item, f"{place}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from secrets(item, place)


def leaves(value, place):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{place}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, place)
    elif isinstance(value, str) and value:
        yield value, place


def replacements(resources):
    """The fake for each secret that is drawn or issued. All other secrets are made from these."""
    found = {}
    for resource in resources:
        for real, place in secrets(resource, resource["urn"]):
            if resource["type"] == PASSWORD:
                kept = 7 if real.startswith("$2a$") else 0  # algorithm and cost of a bcrypt hash
                found[real] = real[:kept] + fake(real[kept:], place.split("::")[-1])
            elif "clusters" in real:
                for _, credential in CREDENTIAL.findall(real):
                    found[credential] = base64.b64encode(b"not a credential").decode()
    return found


class Cleaner:
    """Replaces secrets wherever they stand: alone, inside a URL or a file, and in base64."""

    def __init__(self, fakes):
        self._fakes = dict(sorted(fakes.items(), key=lambda pair: -len(pair[0])))

    def text(self, text):
        for real, other in self._fakes.items():
            text = text.replace(real, other)
        try:
            inner = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return text
        cleaned = inner
        for real, other in self._fakes.items():
            cleaned = cleaned.replace(real, other)
        return text if cleaned == inner else base64.b64encode(cleaned.encode()).decode()

    def value(self, value, place=""):
        if isinstance(value, dict):
            if value.get(SIGNATURE) == SECRET:
                return value | {"plaintext": json.dumps(self._secret(json.loads(value["plaintext"]), place), sort_keys=True)}
            return {key: self.value(item, f"{place}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, place) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _secret(self, value, place):
        for real, where in leaves(value, place):
            if self.text(real) == real and not harmless(real):
                raise RefusalError(f"{where} is a secret that this script knows no replacement for")
        return self.value(value, place)


def harmless(text):
    if text in PUBLIC:
        return True
    try:
        return base64.b64decode(text, validate=True).decode() in PUBLIC
    except (binascii.Error, UnicodeDecodeError):
        return False


def cleaned(deployment):
    """A deployment with its secrets replaced, and without what encrypts it."""
    resources = deployment["resources"]
    fakes = replacements(resources)
    cleaner = Cleaner(fakes)
    made = [
        {key: cleaner.value(value, f"{resource['urn']}.{key}") for key, value in resource.items() if key not in DEBUGGING}
        for resource in resources
    ]
    text = json.dumps(made)
    for real in fakes:
        if real in text or base64.b64encode(real.encode()).decode().rstrip("=") in text:
            raise RefusalError("a secret is still there after its replacement")
    return {"manifest": deployment["manifest"], "resources": made}


def private_words(checkout):
    """What tells whose machine this is."""
    words = {str(checkout), str(Path.home()), "/tmp/"}
    words |= {word for word in (getpass.getuser(), socket.gethostname(), socket.getfqdn()) if word}
    for key in ("user.email", "user.name"):
        done = subprocess.run(["git", "config", "--global", key], capture_output=True, text=True, check=False)
        words |= {done.stdout.strip()} - {""}
    for name, value in os.environ.items():  # mirrors and proxies
        if re.search(r"proxy|index|registry|mirror", name, re.IGNORECASE):
            words |= set(re.findall(r"://(?:[^@/]*@)?([^/:\s]+)", value))
    return words - {"localhost", "127.0.0.1"}


def refuse_private(text, words, file):
    for word in sorted(words):
        if re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", text):
            raise RefusalError(f"{file} names {word!r}, which is of this machine")


def recorded(checkout, stack):
    """The test data of one stack: contents by file name."""
    export = ["pulumi", "stack", "export", "--show-secrets", "--stack", stack]
    exported = json.loads(subprocess.run(export, cwd=checkout, capture_output=True, text=True, check=True).stdout)
    state = {"version": exported["version"], "deployment": cleaned(exported["deployment"])}
    settings = (checkout / f"Pulumi.{stack}.yaml").read_text()
    return {
        f"states/{stack}.json": json.dumps(state, indent=1, sort_keys=True) + "\n",
        f"checkout/Pulumi.{stack}.yaml": re.sub(r"(?m)^encryptionsalt:.*\n", "", settings),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stacks", nargs="+", metavar="STACK")
    parser.add_argument("--to", type=Path, required=True, help="the folder to write")
    parser.add_argument("--checkout", type=Path, default=Path(), help="where the environments are up")
    parser.add_argument("--private", action="append", default=[], help="another word that may not be published")
    given = parser.parse_args()
    checkout = given.checkout.resolve()
    files = {}
    for stack in given.stacks:
        files |= recorded(checkout, stack)
    for approvers in checkout.glob("workloads/*/approvers.json"):
        files[f"checkout/{approvers.relative_to(checkout)}"] = approvers.read_text()
    words = private_words(checkout) | set(given.private)
    for file, text in files.items():
        refuse_private(text, words, file)
    for file, text in files.items():
        target = given.to / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        print(f"{target}: {len(text) / 1024:,.0f} KiB")


if __name__ == "__main__":
    try:
        main()
    except RefusalError as error:
        sys.exit(f"Nothing is written: {error}")
