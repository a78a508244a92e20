"""The self-signed certificate of a `gen run`: made once, then kept in its state directory."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from gen.cli.output import write_if_different
from gen.errors import UsageError
from gen.ir import Certificate
from gen.sources.selfsigned import self_signed
from gen.trees import SECRET_MODE

RENEW_BEFORE = 30 * 86400.0


def fallback_certificate(state: Path, profile: str) -> Certificate:
    """The certificate for hosts that have none, from an earlier life if it is still good.  Raises UsageError."""
    path = state / f"fallback-{profile}.json"
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Certificate)
        if kept.not_after - time.time() > RENEW_BEFORE:
            return kept
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        pass
    fresh = self_signed(profile)
    try:
        write_if_different(path, msgspec.json.encode(fresh), SECRET_MODE)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    return fresh
