"""The NGINX configuration of an endpoint's router, as a pure function of its routes.

tests/unit/components/test_router_config.py tests it with a real NGINX: with `nginx -t` and with requests.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from http import HTTPStatus

from common.serving import MAX_BODY_BYTES, PREDICTIONS

PORT = 8080
SCRATCH = "/tmp"  # noqa: S108 a volume of this pod
FORWARDED_PATHS = ("/api/v1.0/metadata", "/api/v1.0/health/status")
"""The paths, in addition to that of predictions, that the router forwards to the variants."""
HUNDRED = 100
_LEAVING = "leaving"
"""A file in the scratch folder. It exists when the router is about to stop."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The name and the address of a variant."""

    variant: str
    """`stable`, `canary` or `shadow`. Also the value of the response header `X-Variant`."""
    address: str
    """`host:port`, where the host is the name of a Service. NGINX resolves the name only when it starts."""

    @property
    def host(self) -> str:
        """The address without the port."""
        return self.address.rpartition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Routes:
    """The variants and their shares of the requests."""

    workload: str
    stable: Target
    canary: Target | None = None
    canary_percent: int = 0
    """The canary's share of the requests in percent. The router draws at random for each request; the rest goes to stable."""
    shadow: Target | None = None
    """The variant that gets a copy of every prediction request. Its answers are dropped."""
    access_log: bool = False
    """Whether to log each request on standard output, as a line of JSON."""

    def __post_init__(self) -> None:
        if not 0 <= self.canary_percent <= HUNDRED:
            raise ValueError(f"canary_percent is {self.canary_percent}, but must be 0 to 100, for example 10")
        if self.canary_percent and self.canary is None:
            raise ValueError(f"canary_percent is {self.canary_percent}, but there is no canary")

    @property
    def targets(self) -> tuple[Target, ...]:
        """All variants."""
        return tuple(target for target in (self.stable, self.canary, self.shadow) if target)


def content_name(name: str, content: str) -> str:
    """Returns `name` with a hash of `content`. A changed configuration gets a new name, so the pods that mount it restart."""
    return f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


def config(routes: Routes, *, port: int = PORT, scratch: str = SCRATCH) -> str:
    """Returns the content of nginx.conf.

    Args:
        routes: the variants and their shares of the requests.
        port: the port that NGINX listens on.
        scratch: the path of a writable folder.
    """
    return _CONFIG % {
        "port": port,
        "scratch": scratch,
        "body": MAX_BODY_BYTES,
        "log": _ACCESS_LOG if routes.access_log else "access_log off;",
        "upstreams": "\n".join(_UPSTREAM % {"variant": target.variant, "address": target.address} for target in routes.targets),
        "split": _split(routes),
        "leaving": _LEAVING,
        "mirror": "mirror /shadow;" if routes.shadow else "mirror off;",
        "shadow": _SHADOW if routes.shadow else "",
        "predictions": PREDICTIONS,
        "forwarded": "\n".join(_FORWARDED % path for path in FORWARDED_PATHS),
        "errors": "\n".join(_error(status, info, routes.workload) for status, info in _ERRORS.items()),
    }


def drain_command(scratch: str = SCRATCH, *, seconds: int) -> list[str]:
    """Returns the command that runs before a router stops. For `seconds`, the router asks clients to close their connections.

    When NGINX quits, it closes idle connections, and a request that is just arriving on such a connection is lost. To avoid
    that, the router closes each connection after its next response. (NGINX 1.27 has `keepalive_min_timeout` for this purpose;
    Debian's NGINX is older.)
    """
    return ["sh", "-c", f"touch {scratch}/{_LEAVING} && sleep {seconds}"]


def _split(routes: Routes) -> str:
    """Returns the `split_clients` block.

    The directive rejects a share of 0 % and rounds other shares. So the block has no share for the canary's 0 % and 100 %.
    """
    match routes.canary_percent:
        case 0:
            shares = f"* {routes.stable.variant};"
        case percent if percent == HUNDRED:
            shares = "* canary;"
        case percent:
            shares = f"{percent}% canary; * {routes.stable.variant};"
    return f"split_clients $request_id $variant {{ {shares} }}"


def _error(status: HTTPStatus, info: str, workload: str) -> str:
    """Returns the configuration of an error response of the router. It has the format of the service's error responses."""
    body = {
        "status": {"code": status, "info": info, "reason": status.name, "status": "FAILURE"},
        "meta": {"tags": {"workload": workload}},
    }
    return (
        f"        error_page {status:d} @{status:d};\n"
        f"        location @{status:d} {{ default_type application/json; return {status:d} '{json.dumps(body)}\\n'; }}"
    )


# These texts must not contain an apostrophe: the configuration encloses them in apostrophes.
_ERRORS = {
    HTTPStatus.BAD_REQUEST: "this is not HTTP that can be read",
    HTTPStatus.NOT_FOUND: f"$request_method $uri: there is no such path; predictions are asked for with POST {PREDICTIONS}",
    HTTPStatus.REQUEST_TIMEOUT: "the request did not arrive in time",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        f"the request is larger than {MAX_BODY_BYTES} bytes: send its rows in parts; found $content_length bytes"
    ),
    HTTPStatus.REQUEST_URI_TOO_LONG: "the address is too long: send the rows in the body",
    HTTPStatus.INTERNAL_SERVER_ERROR: "the router failed on this request; the reason is in its log",
    HTTPStatus.BAD_GATEWAY: "no replica of variant $variant can be reached; try again in a moment",
    HTTPStatus.SERVICE_UNAVAILABLE: "the router is overloaded; try again in a moment",
    HTTPStatus.GATEWAY_TIMEOUT: "variant $variant did not answer in time; try again with fewer rows",
}

_ACCESS_LOG = """log_format json escape=json
        '{"time":"$time_iso8601","request":"$request_id","method":"$request_method","path":"$uri",'
        '"status":$status,"bytes":$request_length,"seconds":$request_time,"upstream":"$upstream_response_time",'
        '"variant":"$variant","version":"$upstream_http_x_model_version","run":"$upstream_http_x_model_run"}';
    access_log /dev/stdout json;"""

# The Service is listed twice because NGINX retries on another server; behind the Service's address, that is often another pod.
# `max_fails=0`: NGINX must not mark a server as down, because both are the same Service. Connections are renewed regularly, so
# new pods get their share of the requests.
_UPSTREAM = """    upstream %(variant)s {
        server %(address)s max_fails=0;
        server %(address)s max_fails=0;
        keepalive 32;
        keepalive_timeout 20s;
        keepalive_requests 10000;
        keepalive_time 5m;
    }"""

_FORWARDED = "        location = %s { proxy_pass http://$variant; }"

# The timeouts are short because the next request on a client's connection waits until the copy is answered.
_SHADOW = """
        location = /shadow {
            internal;
            proxy_pass http://shadow$request_uri;
            proxy_connect_timeout 500ms;
            proxy_read_timeout 2s;
            proxy_next_upstream off;
            log_not_found off;
        }"""

# A prediction changes nothing. So NGINX may repeat the request if a connection breaks, for example because a pod stops, even
# though the request is a POST. A request that already took long is not repeated, because it would take long again.
_CONFIG = """worker_processes 1;
pid %(scratch)s/nginx.pid;
error_log stderr warn;
worker_shutdown_timeout 30s;

events {
    worker_connections 4096;
}

http {
    client_body_temp_path %(scratch)s/body;
    proxy_temp_path %(scratch)s/proxy;
    fastcgi_temp_path %(scratch)s/fastcgi;
    uwsgi_temp_path %(scratch)s/uwsgi;
    scgi_temp_path %(scratch)s/scgi;

    server_tokens off;
    %(log)s
    keepalive_requests 100000;
    client_header_buffer_size 8k;
    client_max_body_size %(body)d;
    client_body_buffer_size %(body)d;

%(upstreams)s

    %(split)s

    server {
        listen %(port)d backlog=1024;

        add_header X-Variant $variant always;
        add_header X-Request-ID $request_id always;

        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Request-ID $request_id;
        proxy_connect_timeout 2s;
        proxy_send_timeout 10s;
        proxy_read_timeout 30s;
        proxy_next_upstream error timeout non_idempotent;
        proxy_next_upstream_tries 2;
        proxy_next_upstream_timeout 5s;
        proxy_buffers 16 32k;
        proxy_max_temp_file_size 0;

        location = %(predictions)s {
            if (-f %(scratch)s/%(leaving)s) { rewrite ^ /%(leaving)s last; }
            %(mirror)s
            proxy_pass http://$variant;
        }
        # The same, for the last time on a connection.
        location = /%(leaving)s {
            internal;
            keepalive_timeout 0;
            %(mirror)s
            proxy_pass http://$variant%(predictions)s;
        }
%(forwarded)s
%(shadow)s
        location = /healthz { access_log off; default_type text/plain; return 200 "ok\\n"; }
        location / { return 404; }

%(errors)s
    }
}
"""
