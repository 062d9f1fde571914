"""A bucket of an object store in this process: the part of S3's protocol with which the engine stores states."""

from __future__ import annotations

from tests.faults.injector import Request, Response

NAME = "states"
_XML = {"Content-Type": "application/xml"}


class FakeBucket:
    """A bucket whose objects are in `objects`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def __call__(self, request: Request) -> Response:
        key = request.path.lstrip("/").partition("/")[2]
        match request.method:
            case "PUT":
                self.objects[key] = request.body
                return Response(b"", 200, {"ETag": '"x"'})
            case "DELETE":
                self.objects.pop(key, None)
                return Response(b"", 204)
        if not key:
            return Response(self._listing(request.query.get("prefix", ""), request.query.get("delimiter", "")), 200, _XML)
        if key not in self.objects:
            return Response(b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>", 404, _XML)
        length = str(len(self.objects[key]))
        return Response(self.objects[key], 200, {"ETag": '"x"', "Last-Modified": _DAY, "Content-Length": length})

    def _listing(self, prefix: str, delimiter: str) -> bytes:
        contents, folders = [], set[str]()
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            first, deeper, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
            if deeper:
                folders.add(f"{prefix}{first}{delimiter}")
            else:
                contents.append(key)
        time = "<LastModified>2026-11-24T10:00:00.000Z</LastModified>"
        files = "".join(f"<Contents><Key>{key}</Key><Size>{len(self.objects[key])}</Size>{time}</Contents>" for key in contents)
        common = "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in sorted(folders))
        head = f"<Name>{NAME}</Name><IsTruncated>false</IsTruncated>"
        return f"<ListBucketResult>{head}{files}{common}</ListBucketResult>".encode()


_DAY = "Tue, 24 Nov 2026 10:00:00 GMT"
