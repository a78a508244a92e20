"""The pod that gen runs in, as far as it is told: by the downward API, or by the files of its service account."""

from __future__ import annotations

import os
import socket
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def pod_name() -> str:
    """Who this gen is among its replicas."""
    return os.environ.get("POD_NAME") or socket.gethostname()


def pod_namespace(account: Path = ACCOUNT) -> str:
    """Where this gen is; outside of any pod the namespace that kubectl would take."""
    if named := os.environ.get("POD_NAMESPACE"):
        return named
    try:
        return account.read_text().strip() or "default"
    except OSError:
        return "default"
