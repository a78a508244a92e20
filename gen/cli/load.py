"""What the offline commands have in common: manifests in, a configuration and its issues out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click
from msgspec import Struct

from gen.backend import Backend, Placement, load
from gen.cli.flags import Flags
from gen.cli.progress import progress
from gen.cli.settings import options_of, placement_of, settings_of
from gen.errors import UsageError
from gen.ir import Config, Issue
from gen.k8s import ref_of
from gen.reconcile.pipeline import Pipeline
from gen.report.text import Locate, issue_line
from gen.sources.manifests import Manifests, read
from gen.store import Change, Store
from gen.translate import Translator
