"""What the cases give: the model and the files of every backend, as they are kept beside each case."""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import io
import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from gen.cli import main
from gen.cli.flags import Flags
from gen.cli.load import load_backend, load_config
from gen.dialects.ingress_nginx import PREFIX
from gen.fit import fit
from gen.ir import Config, Forward, Host, Issue, Redirect, Route, Upstream
from gen.policy import literal
from tests.live.manifests import Manifest
from tests.live.proxies import BACKENDS
from tests.proof.case import ROOT, Case, read_case

VERSIONS: Mapping[str, str] = {"nginx": "1.22.1", "haproxy": "2.6.12", "envoy": "1.40.0"}
"""The versions that the expected files are written for, whatever is installed."""

EMPTY = "basics/empty"
BASIC = "PlaceholderCertificate"
"""The issue that everything without a default certificate has."""
READABLE = 100
"""Lines of one file that a case keeps of the change by an annotation."""
ISSUES = "issues"
"""Beside the files of a backend: what gen says."""
Files = Mapping[str, bytes]


def expected(case: Case) -> Files:
    """All generated files of a case, by their path in its folder.

    What every configuration has is kept in the case EMPTY alone: of a file that stands there, too, the others keep the
    lines in which they differ from it, as PATH.diff.  One about an annotation, or the ConfigMap, keeps what it changes.
    """
    if case.annotation or case.folder.parent.name == "configmap":
        return changes(case)
    files = {path: content for path, content in generated(case).items() if not path.endswith(ISSUES)}
    if case.name == EMPTY:
        return files
    common = generated(read_case(ROOT / EMPTY))
    for path, content in tuple(files.items()):
        if path != "ir.yaml" and path in common:
            del files[path]
            if content != common[path]:
                files[f"{path}.diff"] = difference(common[path], content)
    return files


def changes(case: Case) -> Files:
    """What the subject of a case changes in the files of each backend, and the Issues that come with it."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "without.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": without_subject(case)}))
        plain = files_of((str(file),), case.flags)
    rich = generated(case)
    found: dict[str, bytes] = {}
    for path in sorted(plain.keys() | rich.keys()):
        backend, _, rest = path.partition("/")
        changed = short(difference(plain.get(path, b""), rich.get(path, b"")))
        if changed and rest:
            found[f"{backend}.diff"] = found.get(f"{backend}.diff", b"") + f"# {rest}\n".encode() + changed
    return found


def short(changed: bytes) -> bytes:
    """A change, or only its length and digest where nobody would read it."""
    count = changed.count(b"\n")
    return changed if count <= READABLE else f"{count} lines, sha256 {sha256(changed).hexdigest()}\n".encode()


def without_subject(case: Case) -> list[Manifest]:
    """The objects of a case without the annotation, or with nothing in the ConfigMap, that it is about."""
    objects: list[Manifest] = copy.deepcopy(list(case.objects))
    for item in objects:
        if case.annotation:
            item["metadata"].get("annotations", {}).pop(f"{PREFIX}/{case.annotation}", None)
        elif item["kind"] == "ConfigMap" and item["metadata"]["name"] == "gen":
            item["data"] = {}
    return objects


def difference(before: bytes, after: bytes) -> bytes:
    """The lines that went, with a minus, and those that came, with a plus, in their order."""
    lines = difflib.unified_diff(before.decode().splitlines(), after.decode().splitlines(), lineterm="", n=0)
    return "".join(f"{line}\n" for line in list(lines)[2:] if not line.startswith("@@")).encode()


@functools.cache
def generated(case: Case) -> Files:
    """The model of a case and the files of every backend, with a word in place of each digest of a whole."""
    return files_of(case.sources, case.flags)


def files_of(sources: tuple[str, ...], flags: tuple[str, ...]) -> Files:
    """The same for manifests."""
    loaded = load_config(Flags(filename=sources, **flag_values(flags)))
    files = {"ir.yaml": yaml_of(model(loaded.config, loaded.issues))}
    for name, version in VERSIONS.items():
        backend = load_backend(Flags(backend=name, proxy_version=version))
        fitted, lacks = fit(loaded.config, backend.features, backend.lacks, backend.words)
        bundle = backend.render(fitted)
        digest = bundle.digest.encode()
        files |= {f"{name}/{path}": text.replace(digest, b"DIGEST") for path, text in bundle.files.items()}
        files[f"{name}/{ISSUES}"] = issue_lines((*loaded.issues, *lacks))
    return files


def issue_lines(issues: Iterable[Issue]) -> bytes:
    """Issues, one a line."""
    return b"".join(f"{line}\n".encode() for line in map(issue_line, issues) if BASIC not in line)


def issue_line(issue: Issue) -> str:
    """One issue in words."""
    return f"{issue.severity} {issue.code} at {issue.source}: {issue.message}"


def present(case: Case) -> Files:
    """The generated files that are kept with a case."""
    own = (case.folder / name for name in ("ir.yaml", *(f"{backend}.diff" for backend in BACKENDS)))
    paths = [*own, *(path for backend in BACKENDS for path in (case.folder / backend).rglob("*"))]
    return {path.relative_to(case.folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def render(backend: str, source: Path, *flags: str, version: str = "") -> Files:
    """What `gen render` writes."""
    with TemporaryDirectory() as folder:
        run_gen(
            *("render", "-b", backend, "-f", str(source), "-o", folder, *flags),
            *("--proxy-version", version or VERSIONS[backend], "--resolver=127.0.0.1"),
        )
        root = Path(folder)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def run_gen(*arguments: str) -> str:
    """Run a command in this process; gives what it prints."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(arguments)
    assert status == 0, f"gen {' '.join(arguments)} ended with {status}:\n{errors.getvalue()}"
    return output.getvalue()


# ------------------------------------------------------------------ the model


def yaml_of(value: object) -> bytes:
    """As YAML, one line a text."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100_000).encode()


def flag_values(flags: Iterable[str]) -> dict[str, Any]:
    """The fields of Flags that options of the form --name=value stand for."""
    words = {"true": True, "false": False}
    pairs = (flag.removeprefix("--").partition("=")[::2] for flag in flags)
    return {name.replace("-", "_"): words.get(value, value) for name, value in pairs}


def model(config: Config, issues: Iterable[Issue]) -> Mapping[str, Any]:
    """The same as plain data."""
    return {
        "hosts": {name or "any other host": host_lines(host) for name, host in config.hosts.items()},
        "upstreams": {name: upstream_lines(upstream) for name, upstream in config.upstreams.items()},
        "certificates": {name: list(found.names) for name, found in config.certificates.items()},
        "issues": [issue_line(one) for one in issues if one.code != BASIC],
    }


def host_lines(host: Host) -> list[str]:
    """A line for the certificate, where there is one, and one for each route, in match order."""
    own = [f"certificate {host.certificate}"] if host.certificate else []
    return [*own, *(route_line(route) for route in host.routes)]


def route_line(route: Route) -> str:
    """A route: what it matches, what is done."""
    action = route.action
    if isinstance(action, Forward):
        done = " ".join(f"{part.upstream}" + (f" x{part.weight}" if part.weight != 1 else "") for part in action.split)
    elif isinstance(action, Redirect):
        done = f"{action.status} {action.url or action.path}"
    else:
        done = f"{action.status}"
    as_host = f" as {literal(route.policy.upstream_host)}" if route.policy.upstream_host is not None else ""
    return f"{route.match.kind} {route.match.path} -> {done}{as_host}"


def upstream_lines(upstream: Upstream) -> list[str]:
    """The endpoints, or the name that the proxy resolves."""
    if upstream.dns:
        return [f"dns {upstream.dns.name}:{upstream.dns.port}"]
    return [f"{one.address} {one.port}" + (" draining" if one.draining else "") for one in upstream.endpoints]
