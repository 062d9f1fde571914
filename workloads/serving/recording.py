"""The answers of the last while, by the request they were given to, so that two variants asked the same can be compared.

A request of which a shadow gets a copy has the same id there (`X-Request-ID`, set by the router). Where an answer is kept
depends on that id alone: what is written over is written over in both variants, and what is left of one is left of the other.
Half of all requests go to the first level, a quarter to the second, and so on: the first forgets soon when there is much
traffic, the last has a sample that reaches back more than a hundred times as far.

Answers are business: they have a port of their own, which neither the router nor a mesh's gateway leads to.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, TypedDict

from common.serving import RECORDED_PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS: Final = 8
SLOTS: Final = 512
"""Of each level. All together: under a megabyte, shared by the workers."""
VALUES: Final = 16
"""Rows of an answer that are kept."""
_ID_BYTES: Final = 40
"""The router's ids have 32 characters, a mesh's 36. Longer ones are cut."""
_ODD: Final = 2654435761
"""Multiplying by it spreads codes that differ in a few bits only, as those of ids that were counted up do."""
_HEAD: Final = struct.Struct(f"<dIB{_ID_BYTES}s")
_CHECK: Final = struct.Struct("<I")
_BODIES: Final = [struct.Struct(f"<{count}d") for count in range(VALUES + 1)]
_SLOT: Final = _CHECK.size + _HEAD.size + _BODIES[VALUES].size


class Answer(TypedDict):
    """One answer that was kept."""

    request: str
    at: float
    """When it was given, in seconds since 1970."""
    rows: int
    """How many it had; of `VALUES` of them there are values."""
    values: list[float]
    """The first column of each row."""


class Recording:
    """Answers kept in memory that is shared by all processes forked after this was made."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, LEVELS * SLOTS * _SLOT)

    def keep(self, request: str, values: Sequence[float]) -> None:
        """Keeps an answer until another one takes its place. `values`: the first column of its rows."""
        name = request.encode()
        kept = values if len(values) <= VALUES else values[:VALUES]
        content = _HEAD.pack(time.time(), len(values), len(kept), name) + _BODIES[len(kept)].pack(*kept)
        start = slot(name) * _SLOT
        # Another worker may be writing here, or reading: what is torn does not fit its check, and is not there.
        self._memory[start : start + _CHECK.size + len(content)] = _CHECK.pack(zlib.crc32(content)) + content

    def kept(self) -> list[Answer]:
        """What there is now, in no particular order."""
        memory = bytes(self._memory)
        found = (_read(memory[start : start + _SLOT]) for start in range(0, len(memory), _SLOT))
        return [answer for answer in found if answer]


def slot(request: bytes) -> int:
    """Where the answer to a request is kept."""
    code = zlib.crc32(request) * _ODD
    marked = code | 1 << LEVELS - 1
    level = (marked & -marked).bit_length() - 1  # zeros at the end: none in half of all codes, one in a quarter
    return level * SLOTS + (code >> 16) % SLOTS


def _read(content: bytes) -> Answer | None:
    at, rows, count, name = _HEAD.unpack_from(content, _CHECK.size)
    if not at or count > VALUES:
        return None
    end = _CHECK.size + _HEAD.size + _BODIES[count].size
    if _CHECK.unpack_from(content)[0] != zlib.crc32(content[_CHECK.size : end]):
        return None
    values = _BODIES[count].unpack_from(content, _CHECK.size + _HEAD.size)
    return {"request": name.rstrip(b"\0").decode(errors="replace"), "at": at, "rows": rows, "values": list(values)}


def serve(recording: Recording, port: int) -> None:
    """Shows what is kept, at `RECORDED_PATH`, for ever. A process of its own: it answers while all workers are busy."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != RECORDED_PATH:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = json.dumps(recording.kept(), separators=(",", ":")).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name for it
            """Who asks is not logged."""

    ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()  # noqa: S104 - a pod's address is not known before it runs
