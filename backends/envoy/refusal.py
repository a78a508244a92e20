"""Envoy's own words about a configuration that it refuses: made fit to be shown, and whom they name."""

from __future__ import annotations

import re

from backends.envoy.parts import BOOTSTRAP_FILE
from gen.backend import Bundle
from gen.ir import Source

OUTPUT_LIMIT = 4000
LOG_PREFIX = re.compile(r"^(?:\[[^\]\n]*\])+ (?:\[[^\]\n]*\] )?", re.MULTILINE)
PREAMBLE = re.compile(r"error (?:initializing configuration|`|initializing config)[^:\n]*': ")
RANDOM_PREFIX = re.compile(r"goo\.gle/debug\S*\s+")
KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
NOISE = re.compile(r"^.*(?:There is no configured limit to the number|configuration '[^']*' OK).*\n?", re.MULTILINE)
SEPARATOR = re.compile(r"[\s,'\"]+|: ")


def scrubbed(text: str) -> str:
    """The message without log prefixes, what differs from run to run, and keys; cut."""
    for pattern in (NOISE, LOG_PREFIX, PREAMBLE, RANDOM_PREFIX):
        text = pattern.sub("", text)
    return KEY.sub("(a private key)", text).strip()[:OUTPUT_LIMIT]


def named(text: str, bundle: Bundle) -> tuple[Source, ...]:
    """The objects behind the clusters, certificates and files that a message names.

    Hosts are not looked for: a host may be called `main`, and messages are full of words.
    """
    words = {word for word in SEPARATOR.split(text) if "/" in word}
    found: dict[Source, None] = {}
    for number, line in enumerate(bundle.files[BOOTSTRAP_FILE].splitlines(), start=1):
        if any(f'"{word}"'.encode() in line for word in words) and (source := bundle.blame(BOOTSTRAP_FILE, number)):
            found[source] = None
    return tuple(found)
