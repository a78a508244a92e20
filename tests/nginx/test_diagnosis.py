"""Reading what nginx says."""

from __future__ import annotations

import pytest

from backends.nginx.diagnosis import OUTPUT_LIMIT, blame, complaints, cut, faults
from gen.backend import Bundle
from gen.ir import Source

OK = "nginx: the configuration file /x/nginx.conf syntax is ok\n"
PASSED = OK + "nginx: configuration file /x/nginx.conf test is successful\n"
FAILED = "nginx: configuration file /x/nginx.conf test failed\n"
STAMP = "2026/11/23 01:16:34 "
BIND = "[emerg] 7#7: bind() to 0.0.0.0:80 failed (13: Permission denied)\n"
LOST = '[warn] 7#7: conflicting server name "a.test" on 0.0.0.0:80, ignored\n'
SYNTAX = 'nginx: [emerg] unknown directive "x" in /x/hosts/a.conf:7\n'
CERTIFICATE = '[emerg] 7#7: cannot load certificate "/x/certificates/a.crt": PEM_read_bio_X509() failed\n'


@pytest.mark.parametrize(
    ("returncode", "output", "found"),
    [
        (0, PASSED, []),
        (0, STAMP + "[warn] 7#7: 16384 worker_connections exceed open file resource limit: 1024\n" + PASSED, []),
        (0, STAMP + LOST + PASSED, ['[warn] conflicting server name "a.test" on 0.0.0.0:80, ignored']),
        (1, OK + STAMP + BIND + FAILED, []),
        (1, STAMP + LOST + OK + STAMP + BIND + FAILED, [LOST.replace("7#7: ", "").strip()]),
        (1, SYNTAX + FAILED, ['[emerg] unknown directive "x" in /x/hosts/a.conf:7']),
        (1, OK + STAMP + CERTIFICATE + FAILED, [CERTIFICATE.replace("7#7: ", "").strip()]),
        (1, OK + STAMP + CERTIFICATE + STAMP + BIND + FAILED, [CERTIFICATE.replace("7#7: ", "").strip()]),
        (1, OK + FAILED, [(OK + FAILED).strip()]),
        (-9, "no answer within 20 s", ["no answer within 20 s"]),
        (-11, "", ["nginx ended with status -11"]),
    ],
)
def test_what_counts_as_a_fault(returncode: int, output: str, found: list[str]) -> None:
    assert faults(returncode, output) == found


def test_complaints_are_said_once_and_keep_secrets() -> None:
    key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKjMzEf"
    text = f"{STAMP}[error] 7#7: *3 first\n{STAMP}[error] 8#8: *4 first\nplain\n"
    text += f"[emerg] 1#1: unknown {key} and -----BEGIN X\n"
    assert complaints(text) == ["[error] first", "[emerg] unknown [...] and [...]"]
    assert len(cut(["x" * 3000] * 3)) == OUTPUT_LIMIT


def test_blame_is_by_file_and_line() -> None:
    route, upper, secret = (Source("Ingress", "ns", name) for name in ("route", "upper", "secret"))
    origins = {"hosts/a.conf": ((1, upper), (5, route)), "certificates/a.crt": ((1, secret),)}
    bundle = Bundle({}, "x", origins=origins)
    assert blame("in /s/gen-1/hosts/a.conf:7", bundle, "/s/gen-1") == (route,)
    assert blame("in /s/gen-1/hosts/a.conf:4\nin /s/gen-1/hosts/a.conf:4", bundle, "/s/gen-1") == (upper,)
    assert blame('"/s/gen-1/certificates/a.crt": failed', bundle, "/s/gen-1") == (secret,)
    assert blame("in /s/gen-1/nginx.conf:3, /elsewhere/hosts/a.conf:7", bundle, "/s/gen-1") == ()
