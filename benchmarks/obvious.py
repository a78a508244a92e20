"""The obvious layout of nginx: an upstream for each Service, and a location with its `proxy_pass` for each path."""

from __future__ import annotations

from collections.abc import Iterator

ADDRESS, PORT = "127.87.0.1", 18980
HEAD = f"""\
worker_processes 1;
error_log stderr error;
pid nginx.pid;
worker_shutdown_timeout 1s;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server_names_hash_max_size 32768;
    server_names_hash_bucket_size 256;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    server {{ listen {ADDRESS}:{PORT} default_server; return 404; }}
"""


def obvious(size: int) -> Iterator[str]:
    """The text of the obvious layout, for the hosts of benchmarks.manifests."""
    yield HEAD
    for number in range(size):
        addresses = (f"{net}.{number // 250}.{number % 250 + 1}" for net in ("10.1", "10.2", "10.3"))
        servers = " ".join(f"server {address}:8080;" for address in addresses)
        yield f"    upstream team-{number % 100}-app-{number}-80 {{ zone shared 64m; {servers} keepalive 32; }}\n"
    for number in range(size):
        target = f"proxy_pass http://team-{number % 100}-app-{number}-80;"
        places = "".join(f"location {place} {{ {target} }} " for place in ("/", "= /api", "/api/", "= /healthz"))
        yield f"    server {{ listen {ADDRESS}:{PORT}; server_name app-{number}.bench.example; {places}}}\n"
    yield "}\n"
