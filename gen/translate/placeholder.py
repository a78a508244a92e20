"""A certificate for rendering without a cluster: published with its key, so it proves nothing and protects nothing.

It keeps `gen render` pure, for a certificate of its own would differ from one run to the next.
"""

from __future__ import annotations

from gen.ir import Certificate, Source

PLACEHOLDER = Certificate(
    id="default",
    chain=b"""\
-----BEGIN CERTIFICATE-----
MIIBnjCCAUOgAwIBAgIBATAKBggqhkjOPQQDAjA+MQwwCgYDVQQKDANnZW4xLjAs
BgNVBAMMJXBsYWNlaG9sZGVyIGNlcnRpZmljYXRlLCBub3QgYSBzZWNyZXQwIBcN
MjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMD4xDDAKBgNVBAoMA2dlbjEu
MCwGA1UEAwwlcGxhY2Vob2xkZXIgY2VydGlmaWNhdGUsIG5vdCBhIHNlY3JldDBZ
MBMGByqGSM49AgEGCCqGSM49AwEHA0IABMVGU/Zc0RG3lfxnl0Y1wVNLbswEfNYs
n5HNanlXs0xTNMdBctMQ8DU14Q/1pdL26K4AvM7iJsTEUtjNokPF+DmjMDAuMB4G
A1UdEQQXMBWCE3BsYWNlaG9sZGVyLmludmFsaWQwDAYDVR0TAQH/BAIwADAKBggq
hkjOPQQDAgNJADBGAiEA2o8XA3RoyAZZlGZ+G0fBJj6cQjefPn87FVqYodMngi0C
IQD5y2GdIxq5a0RDQgYw1cqwutm4JtQuGzbzBVYn9VwHnA==
-----END CERTIFICATE-----
""",
    key=b"""\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaUlmaefOE/wiWovZ
rTuD3P7JVleNqrNwuMVdSJzejeKhRANCAATFRlP2XNERt5X8Z5dGNcFTS27MBHzW
LJ+RzWp5V7NMUzTHQXLTEPA1NeEP9aXS9uiuALzO4ibExFLYzaJDxfg5
-----END PRIVATE KEY-----
""",
    names=("placeholder.invalid",),
    not_before=1577836800.0,
    not_after=4733510400.0,
    source=Source("gen", "", "placeholder"),
)
