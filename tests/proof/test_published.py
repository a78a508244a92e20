"""Published faults of ingress-nginx that show in rendered files; tests.translate.test_published has the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gen.cli.flags import Flags
from gen.cli.load import load_backend
from gen.fit import fit
from gen.translate import Settings
from tests.dialects.test_hostile import TEXTS
from tests.live.certificates import issue
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service, tls_secret
from tests.live.proxies import BACKENDS
from tests.proof.case import all_cases
from tests.proof.golden import VERSIONS, generated
from tests.translate.translating import translate_any

CASES = all_cases()
COMMENT = re.compile(r"Ingress [a-z0-9.-]+/[a-z0-9.-]+(?:, rule [0-9]+(?:, path [0-9]+)?|, default backend)?")


def lines_of_nginx() -> Iterator[str]:
    """Every line of nginx that any case renders."""
    for case in CASES:
        for name, content in generated(case).items():
            if name.startswith("nginx/") and name.endswith(".conf"):
                yield from content.decode().splitlines()


@pytest.mark.parametrize("backend", BACKENDS)
def test_cve_2025_24513_names_of_files(backend: str, tmp_path: Path) -> None:
    """Hosts, namespaces and Secrets name files; whatever they are called, no file is outside its directory."""
    chain, key = issue("h.example")
    items: list[Manifest] = []
    for number, text in enumerate(TEXTS):
        for name, namespace, host in (
            (text, "t1", f"a{number}.example"),
            ("s", text, f"b{number}.example"),
            ("s", "t1", text),
        ):
            own = ingress(f"i{number}", namespace, {host: [path("/", "s")]}, tls={name: [host]})
            items += [own, tls_secret(name, namespace, chain, key)]
            items += [service("s", namespace), endpoint_slice("s", namespace, ["192.0.2.1"])]
    found = translate_any(items, Settings(assume_class=True, profile="ingress-nginx", ingress_class="gen"))
    proxy = load_backend(Flags(backend=backend, proxy_version=VERSIONS[backend]))
    bundle = proxy.render(fit(found.config, proxy.features, proxy.lacks)[0])
    assert len(found.config.hosts) > 10
    for file in bundle.files:
        assert re.fullmatch(r"(?:[a-z0-9][A-Za-z0-9_.-]{0,120}/)*[A-Za-z0-9][A-Za-z0-9_.-]{0,120}", file), file
        assert ".." not in file


def test_cve_2021_25745_and_2023_5043_nothing_reads_files_or_runs_code() -> None:
    words = re.compile(r"(?:^|[;{ ])(?:alias|\w+_by_lua\w*|ssl_engine|load_module|perl\w*|js_\w+) ")
    assert not [line for line in lines_of_nginx() if words.search(line)]
    roots = {line.strip() for line in lines_of_nginx() if re.search(r"(?:^|[;{ ])root ", line)}
    assert roots <= {"root none;"}


def test_cve_2026_42945_no_rewrite_has_a_query_and_captures() -> None:
    rewrites = [line for line in lines_of_nginx() if re.search(r"(?:^|[;{ ])rewrite ", line)]
    assert rewrites
    assert not [line for line in rewrites if re.search(r'rewrite "[^"]*" "[^"]*\?[^"]*\$', line)]


def test_cve_2026_4342_comments_hold_names_alone() -> None:
    comments = {line.partition("#")[2].strip() for line in lines_of_nginx() if line.lstrip().startswith("# Ingress")}
    assert comments
    assert not [comment for comment in comments if not COMMENT.fullmatch(comment)]
