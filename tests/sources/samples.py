"""Manifests that several tests use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gen.k8s import Ref
from gen.sources.manifests import Manifests, read

INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  labels: {tier: front}
spec:
  rules:
  - host: shop.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: web
            port:
              number: 80
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{port: 80}]}\n"
WEB = Ref("Ingress", "shop", "web")
OBJECTS: list[Any] = [yaml.safe_load(INGRESS), yaml.safe_load(SERVICE)]
LIST: dict[str, Any] = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": OBJECTS}


def read_text(tmp_path: Path, text: str | bytes, name: str = "a.yaml", **options: Any) -> Manifests:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read([str(file)], **options)
