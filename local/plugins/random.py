"""Stand-in for the `random` provider: passwords, strings, identifiers, integers, pets, UUIDs, shuffles.

Inputs, outputs and replacement are those of the official provider. With a `seed`, numbers and orders are reproducible, but they
differ from those of the official provider. A `RandomPassword` is imported by its value.
"""

from __future__ import annotations

import base64
import ctypes
import math
import random
import secrets
import string
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final

from local.plugins import bare

if __name__ == "__main__":
    bare.without_sdk()

from local.plugins.protocol.messages import Check, Checked, Create, Created, Diff, Difference, Failed, Read, ReadResult, Update
from local.plugins.protocol.provider import Provider, difference
from local.plugins.protocol.serve import serve
from local.plugins.protocol.values import UNKNOWN, Secret, has_unknown, reveal

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.plugins.protocol.values import Object

CLASSES: Final = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "numeric": string.digits,
    "special": "!@#$%&*()-_=+[]{}<>:?",
}
STRING_DEFAULTS: Final[Object] = {
    **dict.fromkeys((*CLASSES, "number"), True),
    **{f"min{name.capitalize()}": 0 for name in CLASSES},
}
DEFAULTS: Final[dict[str, Object]] = {
    "RandomPassword": STRING_DEFAULTS,
    "RandomString": STRING_DEFAULTS,
    "RandomPet": {"length": 2, "separator": "-"},
}
SECRET_OUTPUTS: Final = {"RandomPassword": ("result", "bcryptHash"), "RandomBytes": ("base64", "hex")}
BCRYPT_ROUNDS: Final = 10
BCRYPT_BYTES: Final = 72
BCRYPT_ALPHABET: Final = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits
ADVERBS: Final = "barely boldly briefly calmly clearly duly early fairly gladly gently highly kindly lightly mostly neatly nicely openly partly quietly rarely safely simply smoothly softly truly warmly widely wisely".split()  # noqa: E501, SIM905 - words
ADJECTIVES: Final = "able apt bold brave bright calm careful cheerful clean clear clever cosmic crisp curious eager early exact fair fast fine firm fit fond free fresh gentle glad golden grand handy happy humble ideal just keen kind light lively loyal lucky merry modest neat nimble noble open patient perfect polite proud pure quick quiet rapid ready rich robust sharp smart smooth solid steady sunny sure swift tender tidy true vital warm wise witty young".split()  # noqa: E501, SIM905 - words
PETS: Final = "ant badger bat bear bee beetle bird bison boar buck bug cat colt crab crane crow deer dog dove duck eagle eel elf elk emu falcon fawn finch fish flea fly fox frog gator goat goose grouse gull hare hawk hen heron hornet horse hound ibex jay kid kite kiwi koala lamb lark lemur lion lizard llama lynx mako mole monkey moose moth mouse mule newt ocelot orca oryx owl ox panda parrot pig pony pug puma quail rat raven ray robin rook salmon seal shark sheep shrew skunk sloth slug snail snake swan swift tapir tern tiger toad trout turtle viper vole wasp whale wolf wombat worm wren yak zebra".split()  # noqa: E501, SIM905 - words


_CRYPT_LOCK: Final = threading.Lock()
"""`crypt` writes to a static buffer of the library: two calls at the same time overwrite each other's hash."""


def bcrypt_hash(password: str) -> str:
    """Returns the bcrypt hash of a password, from the C library's `crypt`; empty if the library has no bcrypt.

    May be called from several threads.
    """
    salt = "".join(secrets.choice(BCRYPT_ALPHABET) for _ in range(22))
    try:
        crypt = ctypes.CDLL("libcrypt.so.1").crypt
    except (OSError, AttributeError):
        return ""
    crypt.restype = ctypes.c_char_p
    with _CRYPT_LOCK:
        hashed = crypt(password.encode()[:BCRYPT_BYTES], f"$2a${BCRYPT_ROUNDS}${salt}".encode())
    return hashed.decode() if hashed and hashed.startswith(b"$2a$") else ""


def random_string(inputs: Object) -> str:
    """Returns a random string of the length and the character classes that `inputs` specifies."""
    inputs = STRING_DEFAULTS | inputs
    alphabets = {name: chars for name, chars in CLASSES.items() if inputs[name] and (name != "numeric" or inputs["number"])}
    if "special" in alphabets and inputs.get("overrideSpecial"):
        alphabets["special"] = inputs["overrideSpecial"]
    chosen = [
        secrets.choice(alphabets.get(name, CLASSES[name]))
        for name in CLASSES
        for _ in range(int(inputs[f"min{name.capitalize()}"]))
    ]
    everything = "".join(alphabets.values())
    chosen += [secrets.choice(everything) for _ in range(int(inputs["length"]) - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def _password(inputs: Object) -> tuple[str, Object]:
    result = random_string(inputs)
    return "none", {"result": result, "bcryptHash": bcrypt_hash(result)}


def _string(inputs: Object) -> tuple[str, Object]:
    result = random_string(inputs)
    return result, {"result": result}


def _id(inputs: Object) -> tuple[str, Object]:
    raw, prefix = secrets.token_bytes(int(inputs["byteLength"])), inputs.get("prefix") or ""
    url = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    forms = {"b64Url": url, "b64Std": base64.b64encode(raw).decode(), "hex": raw.hex(), "dec": str(int.from_bytes(raw, "big"))}
    return url, {key: prefix + value for key, value in forms.items()}


def _bytes(inputs: Object) -> tuple[str, Object]:
    raw = secrets.token_bytes(int(inputs["length"]))
    return "none", {"base64": base64.b64encode(raw).decode(), "hex": raw.hex()}


def _integer(inputs: Object) -> tuple[str, Object]:
    result = _generator(inputs).randint(int(inputs["min"]), int(inputs["max"]))
    return str(result), {"result": result}


def _pet(inputs: Object) -> tuple[str, Object]:
    length = int(inputs["length"])
    lists = [ADVERBS] * (length - 2) + [ADJECTIVES] * (length > 1) + [PETS]
    words = [inputs["prefix"]] if inputs.get("prefix") else []
    return inputs["separator"].join([*words, *(secrets.choice(words) for words in lists)]), {}


def _shuffle(inputs: Object) -> tuple[str, Object]:
    items, generator = list(inputs["inputs"]), _generator(inputs)
    count = int(inputs["resultCount"]) if inputs.get("resultCount") is not None else len(items)
    results: list[str] = []
    for _ in range(math.ceil(count / len(items)) if items else 0):
        results += generator.sample(items, len(items))
    return "-", {"results": results[:count]}


def _uuid(_inputs: Object) -> tuple[str, Object]:
    result = str(uuid.uuid4())
    return result, {"result": result}


def _uuid7(_inputs: Object) -> tuple[str, Object]:
    number = (
        (time.time_ns() // 1_000_000 << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    )
    result = str(uuid.UUID(int=number))
    return result, {"result": result}


def _generator(inputs: Object) -> random.Random:
    return random.Random(str(inputs["seed"])) if inputs.get("seed") else secrets.SystemRandom()  # noqa: S311 - for a seed


GENERATORS: Final[dict[str, tuple[Callable[[Object], tuple[str, Object]], tuple[str, ...]]]] = {
    "RandomBytes": (_bytes, ("base64", "hex")),
    "RandomId": (_id, ("b64Url", "b64Std", "hex", "dec")),
    "RandomInteger": (_integer, ("result",)),
    "RandomPassword": (_password, ("result", "bcryptHash")),
    "RandomPet": (_pet, ()),
    "RandomShuffle": (_shuffle, ("results",)),
    "RandomString": (_string, ("result",)),
    "RandomUuid": (_uuid, ("result",)),
    "RandomUuid4": (_uuid, ("result",)),
    "RandomUuid7": (_uuid7, ("result",)),
}
"""By kind: the function that returns the id and the outputs, and the names of the outputs."""


class RandomProvider(Provider):
    """Generates random values once, keeps them in the state, and generates them again when an input changes."""

    name, version = "random", "4.21.4"

    def check(self, request: Check) -> Checked:
        kind = _kind(request.type)
        if kind not in GENERATORS:
            return Checked(request.inputs, [("", f"{request.type} is not supported by this stand-in for the random plugin")])
        return Checked(request.inputs, _check_failures(kind, reveal(request.inputs)))

    def diff(self, request: Diff) -> Difference:
        return difference(request, replace=("*",))

    def create(self, request: Create) -> Created:
        kind = _kind(request.type)
        generate, outputs = GENERATORS[kind]
        inputs = {**DEFAULTS.get(kind, {}), **request.inputs}
        secret_outputs = SECRET_OUTPUTS.get(kind, ())
        if request.preview or has_unknown(inputs):
            return Created("", {**inputs, **{key: Secret(UNKNOWN) if key in secret_outputs else UNKNOWN for key in outputs}})
        resource_id, values = generate(reveal(inputs))
        marked = {key: Secret(value) if key in secret_outputs else value for key, value in values.items()}
        return Created(resource_id, {**inputs, **marked})

    def update(self, request: Update) -> Object:
        raise Failed(f"{request.type} is replaced, never updated")

    def read(self, request: Read) -> ReadResult | None:
        if request.state:
            return super().read(request)
        kind = _kind(request.type)
        if kind in ("RandomPassword", "RandomString"):
            inputs: Object = {"length": len(request.id)}  # the only required input; the defaults are in the state alone
            state = {**STRING_DEFAULTS, **inputs}
            if kind == "RandomString":
                return ReadResult(request.id, {**state, "result": request.id}, inputs)
            state |= {"result": Secret(request.id), "bcryptHash": Secret(bcrypt_hash(request.id))}
            return ReadResult("none", state, inputs)
        if kind in ("RandomUuid", "RandomUuid4", "RandomUuid7"):
            return ReadResult(request.id, {"result": request.id}, {})
        raise Failed(f"{kind} cannot be imported with this stand-in for the random plugin")


def _kind(token: str) -> str:
    return token.rsplit(":", 1)[-1]


def _check_failures(kind: str, inputs: Object) -> list[tuple[str, str]]:
    """Returns property and reason for each input that no value can satisfy."""
    if (
        kind == "RandomInteger"
        and isinstance(inputs.get("min"), int)
        and isinstance(inputs.get("max"), int)
        and inputs["min"] > inputs["max"]
    ):
        return [("min", f"the minimum {inputs['min']} is greater than the maximum {inputs['max']}")]
    if kind not in ("RandomPassword", "RandomString") or has_unknown(inputs):
        return []
    full = STRING_DEFAULTS | inputs
    least = sum(int(full[f"min{name.capitalize()}"]) for name in CLASSES)
    if int(full.get("length", 0)) < max(1, least):
        return [("length", f"{full.get('length')} is less than {max(1, least)}, the smallest length that these inputs allow")]
    if not any(full[name] for name in CLASSES):
        return [("lower", "at least one of lower, upper, numeric and special must be true")]
    return []


if __name__ == "__main__":
    serve(RandomProvider())
