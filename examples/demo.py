"""The loop, live: gen run on the shop's manifests with a real nginx, while the manifests change.

Run by script/demo.  Everything happens on 127.0.0.0/8 and in a temporary directory, and ends by itself.
"""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

SHOP = Path(__file__).parent / "shop"
PODS = {"web": ["127.0.10.1", "127.0.10.2"], "cart": ["127.0.11.1"], "api": ["127.0.12.1"]}
PATIENCE = 30.0


class PodServer(http.server.ThreadingHTTPServer):
    """One pod of a Service, at one address."""

    def __init__(self, service: str, address: str, port: int) -> None:
        super().__init__((address, port), Pod)
        self.label = f"{service} at {address}"


class Pod(http.server.BaseHTTPRequestHandler):
    """Answers with who it is and what it saw."""

    server: PodServer

    def do_GET(self) -> None:
        """Any path."""
        body = f"{self.server.label} saw {self.path} for {self.headers['Host']}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def endpoint_slices(port: int) -> list[dict[str, object]]:
    """What the cluster would tell about the pods of the demo."""
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service}-demo",
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        }
        for service, addresses in PODS.items()
    ]


def ask(port: int, host: str, path: str) -> str:
    """One request on a new connection: status, and the body or the Location."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        body = response.read().decode().strip().splitlines()
        return f"{response.status} {response.getheader('Location') or (body[0] if body else '')}"
    finally:
        connection.close()


def show(port: int, host: str, path: str) -> None:
    """Print a request and its answer."""
    print(f"    {host + path:<26} -> {ask(port, host, path)}")


def is_ready(admin_port: int) -> bool:
    """Whether the first configuration is confirmed."""
    return ask(admin_port, "127.0.0.1", "/readyz").startswith("200")


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    """Poll until something is so; end the demo when it never becomes so."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if is_so():
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"demo: {what} did not happen within {PATIENCE:g} s")


def replace(path: Path, text: str) -> None:
    """Write a file the way editors and deployments should: whole, then one rename."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text)
    draft.rename(path)


def tour(folder: Path, manifests: Path, http_port: int, log: Path) -> None:
    """What a user would do, step by step."""
    print("\n1. The shop's routes, answered by a real nginx:")
    show(http_port, "shop.example", "/")
    show(http_port, "shop.example", "/cart/42")
    show(http_port, "shop.example", "/cart/health")
    show(http_port, "api.shop.example", "/v1/orders")
    show(http_port, "old-shop.example", "/anything")
    show(http_port, "unknown.example", "/")

    print("\n2. A new host is added to ingress.yaml; gen tests it, reloads nginx, and waits until nginx reports it:")
    text = (manifests / "ingress.yaml").read_text()
    replace(manifests / "ingress.yaml", text.replace("host: old-shop.example", "host: outlet.example"))
    # For a moment after a reload, an old worker may still take a connection: several answers in a row are proof.
    wait_for("the new host", lambda: all(ask(http_port, "outlet.example", "/").startswith("301") for _ in range(5)))
    show(http_port, "outlet.example", "/")
    show(http_port, "old-shop.example", "/anything")

    print("\n3. Somebody breaks the file; nothing that was live is lost:")
    replace(manifests / "ingress.yaml", text.replace("rules:", "rules: ]["))
    wait_for("the complaint", lambda: "ingress.yaml:" in log.read_text().split("outlet", 1)[-1])
    show(http_port, "shop.example", "/cart/42")

    print(f"\n   gen's own words ({folder.name}/gen.log):")
    for line in log.read_text().splitlines()[-6:]:
        print(f"    | {line}")


def main() -> None:
    """Set up, tour, tear down."""
    gen = shutil.which("gen", path=str(Path(sys.executable).parent)) or "gen"
    folder = Path(tempfile.mkdtemp(prefix="gen-demo-"))
    manifests, log, pod_port = folder / "manifests", folder / "gen.log", free_port()
    manifests.mkdir()
    for name in ("ingress.yaml", "services.yaml"):
        shutil.copy(SHOP / name, manifests)
    (manifests / "endpoints.json").write_text(
        json.dumps({"kind": "List", "apiVersion": "v1", "items": endpoint_slices(pod_port)})
    )
    for service, addresses in PODS.items():
        for address in addresses:
            threading.Thread(target=PodServer(service, address, pod_port).serve_forever, daemon=True).start()

    http_port, https_port, admin_port = free_port(), free_port(), free_port()
    command = [gen, "run", "--backend", "nginx", "-f", str(manifests), "--state-dir", str(folder / "state")]
    command += ["--bind", "127.0.0.1", "--http-port", str(http_port), "--https-port", str(https_port)]
    command += ["--admin", f"127.0.0.1:{admin_port}"]
    print("$", " ".join(command))
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_for("readiness", lambda: process.poll() is not None or is_ready(admin_port))
        if process.poll() is not None:
            sys.exit(f"demo: gen ended with status {process.returncode}:\n{log.read_text()}")
        tour(folder, manifests, http_port, log)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(15)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\ngen and its nginx stopped (status {status}).")


if __name__ == "__main__":
    main()
