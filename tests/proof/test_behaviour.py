"""Every row of every case through every real proxy: the wanted answer, and the same from all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import msgspec
import pytest

from gen.ir import Severity
from tests.live.client import Reply
from tests.live.echo import EchoNet, Seen
from tests.live.proxies import BACKENDS, missing, need_proxy
from tests.proof.answers import Answer, Place, answers_of, can_run
from tests.proof.case import Case, Row, Upstream, Want, all_cases, common_objects, identity
from tests.proof.lacks import has_all, lack_of

Answers = Callable[[str], Mapping[Place, Answer]]
CASES = all_cases()
OWN_TO_EACH = {"date", "connection", "keep-alive", "transfer-encoding", "content-length", "x-request-id"} | {
    "x-tls-version",
    "x-tls-cipher",
}
"""Headers that belong to a connection, its framing, or one single request."""
NAME_OF_NGINX = ("server", "nginx")
"""nginx says its name where the profile hides the upstream's, and nothing in stock nginx takes that back."""


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory, echo: EchoNet) -> Answers:
    """The answers of a proxy, which is asked once for all tests."""
    known: dict[str, Mapping[Place, Answer]] = {}

    def of(backend: str) -> Mapping[Place, Answer]:
        need_proxy(backend)
        if backend not in known:
            known[backend] = answers_of(backend, CASES, tmp_path_factory.mktemp("cases"), echo)
        return known[backend]

    return of


def rows_of(case: Case) -> Iterator[tuple[Place, Row]]:
    """The rows of a case, with those of its later steps."""
    for step, rows in enumerate((case.rows, *(one.requests for one in case.steps))):
        yield from (((case.name, step, number), row) for number, row in enumerate(rows))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_proxy_answers_as_the_case_wants(backend: str, case: Case, answers: Answers) -> None:
    if not can_run(case):
        missing(f"{case.name} needs {case.words('needs')}")
    found = answers(backend)
    faults: list[str] = []
    for place, row in rows_of(case):
        lack = lack_of(case, row, backend)
        own = faults_of_lacking(lack, found[place]) if lack else faults_of(row.wanted_from(backend), found[place])
        faults.extend(f"{place}: {fault}" for fault in own)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_proxies_agree(case: Case, answers: Answers) -> None:
    if not can_run(case):
        missing(f"{case.name} needs {case.words('needs')}")
    for place, row in rows_of(case):
        able = [name for name in BACKENDS if name not in row.exceptions and has_all(case, row, name)]
        if row.want.instance_count is None and row.want.most_instances is None and able and not row.differs:
            seen = {backend: essence(row, answers(backend)[place]) for backend in able}
            assert all(value == seen[able[0]] for value in seen.values()), f"{place}: {seen}"


def faults_of_lacking(severity: Severity, answer: Answer) -> Iterator[str]:
    """What is wrong with an answer where the proxy lacks what the case is about: a protection must close the route."""
    for reply in answer.replies:
        if severity == "error" and (reply.status != 503 or reply.service):
            yield f"the proxy lacks a protection, so it must answer 503, not {reply.status} from {reply.service}"
    if answer.error:
        yield f"wanted any answer, got {answer.error}"


def faults_of(want: Want, answer: Answer) -> Iterator[str]:
    """What is wrong with an answer."""
    if answer.error or not want.status:
        if want.status or not answer.error:
            yield f"wanted {want.status or 'no answer'}, got {answer.error or 'one'}"
        return
    for reply in answer.replies:
        yield from faults_of_reply(want, reply)
    reached = {reply.seen.instance for reply in answer.replies if reply.seen}
    if want.instances is not None and reached != want.instances:
        yield f"wanted the instances {sorted(want.instances)}, got {sorted(reached)}"
    if want.instance_count is not None and len(reached) != want.instance_count:
        yield f"wanted {want.instance_count} instances, got {sorted(reached)}"
    if want.most_instances is not None and len(reached) > want.most_instances:
        yield f"wanted at most {want.most_instances} instances, got {sorted(reached)}"
    if not isinstance(want.status, int) and want.status != Counter(reply.status for reply in answer.replies):
        yield f"wanted {want.status}, got {[reply.status for reply in answer.replies]}"
    if answer.seconds < want.seconds:
        yield f"wanted it to take {want.seconds} s, it took {answer.seconds:.1f} s"
    for name, upstream in want.others.items():
        yield from faults_of_other(name, upstream, answer.others.get(name, ()))


def faults_of_other(name: str, wanted: Upstream | None, requests: tuple[Seen, ...]) -> Iterator[str]:
    """What is wrong with the requests that another Service has seen."""
    if (wanted is not None) != bool(requests):
        yield f"wanted {name} to see {'a' if wanted else 'no'} request, it saw {len(requests)}"
    elif wanted is not None:
        yield from (f"{name}: {fault}" for fault in faults_of_upstream(wanted, requests[-1]))


def faults_of_reply(want: Want, reply: Reply) -> Iterator[str]:
    """What is wrong with one reply."""
    seen = reply.seen
    if isinstance(want.status, int) and reply.status != want.status:
        yield f"wanted {want.status}, got {reply.status} from {reply.service or 'the proxy'}: {reply.body[:200]!r}"
    if want.service is not msgspec.UNSET and not is_service(want.service, reply.service):
        yield f"wanted {want.service or 'the proxy'} to answer, got {reply.service or 'the proxy'}"
    for name, value in want.headers.items():
        if not matches(value, reply.value(name)):
            yield f"wanted the header {name}: {value}, got {reply.value(name)}"
    if want.certificate is not None and reply.certificate_names != list(want.certificate):
        yield f"wanted a certificate for {want.certificate}, got {reply.certificate_names}"
    if want.cipher is not None and reply.cipher != want.cipher:
        yield f"wanted the cipher {want.cipher}, got {reply.cipher}"
    if seen is None:
        if want.upstream != Upstream():
            yield "wanted an upstream to see the request, none did"
        return
    yield from faults_of_upstream(want.upstream, seen)


def faults_of_upstream(upstream: Upstream, seen: Seen) -> Iterator[str]:
    """What is wrong with a request that an upstream has seen."""
    own = (seen.method, seen.target, seen.version, seen.body)
    for wanted, got in zip((upstream.method, upstream.path, upstream.version, upstream.body), own, strict=True):
        if wanted is not None and wanted != got:
            yield f"wanted the upstream to see {wanted!r}, it saw {got!r}"
    for name, value in upstream.headers.items():
        if not matches(value, seen.value(name)):
            yield f"wanted the upstream to see {name}: {value}, it saw {seen.value(name)}"


def is_service(wanted: str | None, got: str | None) -> bool:
    """Whether the right Service answered; its namespace may be left out."""
    return wanted == got or (wanted is not None and got is not None and got.rpartition("/")[2] == wanted)


def is_pattern(wanted: str | None) -> bool:
    """Whether a wanted value is a regular expression."""
    return bool(wanted) and len(wanted or "") > 2 and (wanted or "")[0] == (wanted or "")[-1] == "/"


def matches(wanted: str | None, got: str | None) -> bool:
    """Whether a value is the wanted one; /.../ is a regular expression for the whole of it."""
    if wanted and got is not None and is_pattern(wanted):
        return re.fullmatch(wanted[1:-1], got) is not None
    return wanted == got


def essence(row: Row, answer: Answer) -> object:
    """What must be the same from every proxy: all that an upstream sees, and all of its answer.

    A header for which the row wants a pattern may differ within it.
    """
    free = OWN_TO_EACH | {name for name, value in row.want.headers.items() if is_pattern(value)}
    seen_free = OWN_TO_EACH | {name for name, value in row.want.upstream.headers.items() if is_pattern(value)}
    return (answer.error and row.want.status) or sorted(
        {repr(essence_of_reply(reply, free, seen_free)) for reply in answer.replies}
    )


def essence_of_reply(reply: Reply, free: set[str], seen_free: set[str]) -> object:
    """The same for one reply; the headers in `free` and, for the upstream's request, `seen_free` may differ."""
    seen = reply.seen
    if seen is None:
        return reply.status, reply.value("location")
    is_http = seen.version != "FastCGI"  # whose parameters are each proxy's own
    request = sorted(pair for pair in seen.headers if is_http and pair[0] not in seen_free)
    response = sorted(pair for pair in reply.headers if pair[0] not in free and pair != NAME_OF_NGINX)
    return reply.status, seen.service, seen.instance, seen.method, seen.target, seen.body, request, response


def test_cases_keep_to_themselves() -> None:
    """Cases run side by side, so no two may speak of the same object or host."""
    owners: dict[str, str] = {}
    for case in CASES:
        names = {identity(item) for item in (*case.objects, *(item for step in case.steps for item in step.apply))}
        names -= {
            "IngressClass gen",
            "ConfigMap configmap/gen",
            *(identity(item) for item in common_objects(case.folder.parent)),
        }
        hosts = {
            rule.get("host", "")
            for item in case.objects
            if item["kind"] == "Ingress"
            for rule in item["spec"].get("rules", ())
        }
        for name in names | (hosts - {""}):
            assert owners.setdefault(name, case.name) == case.name, f"{name} is in {owners[name]} and in {case.name}"
        assert case.is_alone or "" not in hosts, f"{case.name} has rules without a host and must be alone"
        assert len(case.comment) >= 2, f"{case.name} does not say what it shows and where that is written"
