"""gen: Kubernetes Ingress and Service state in, the live configuration of nginx, HAProxy or Envoy out.

docs/design.md tells the flow; gen/ir.py is the file to read first.
"""

__version__ = "0.1.0"
