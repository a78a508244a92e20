from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Sequence

import msgspec
import pytest

from gen.errors import ApplyError, NotConfirmed, Rejected, SourceError, UsageError
from gen.ir import Config, Host, Issue, Options, Source
from gen.reconcile.pipeline import Built
from gen.report.events import Attempt, Fault, IssuesFound, ProxyGone, ProxyResumed, Restored, SourceFailed
from gen.sources import Batch
from gen.store import Change
from tests.reconcile.fakes import QUICK, FakeProxy, FakeSource, Running, bundle_of, state


def attempts(running: Running) -> list[Attempt]:
    return [event for event in running.events if isinstance(event, Attempt)]


def has_attempts(running: Running, number: int) -> bool:
    return len(attempts(running)) == number


def serves(running: Running, text: str) -> bool:
    serving = running.proxy.serving
    return serving is not None and serving.files["proxy.conf"] == text.encode()


async def test_first_input_is_validated_applied_and_confirmed() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: bool(attempts(running)))
    assert proxy.calls == ["resume", "validate a=1", "apply a=1", "confirm a=1", "close"]
    assert [(event.result, event.cause, event.effect) for event in attempts(running)] == [
        ("applied", "input", "reload")
    ]
    assert source.is_closed


async def test_proxy_is_resumed_before_any_input() -> None:
    proxy = FakeProxy(accepted=bundle_of("a=1"))
    async with Running(proxy, FakeSource()) as running:
        await running.until(lambda: serves(running, "a=1"))
    assert proxy.calls == ["resume", "close"]
    assert attempts(running) == []


async def test_what_runs_already_is_only_confirmed() -> None:
    proxy, source = FakeProxy(accepted=bundle_of("a=1")), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: bool(attempts(running)))
    assert proxy.calls == ["resume", "confirm a=1", "close"]
    assert attempts(running)[0].effect == "nothing"


async def test_nothing_is_rendered_before_the_source_is_synced() -> None:
    proxy, source = FakeProxy(), FakeSource(Batch((state("a", "1"),), synced=False))
    async with Running(proxy, source) as running:
        await running.until(lambda: bool(attempts(running)))
        assert (running.results()[-1], running.objects) == ("held", {})
        source.put("2", name="b")
        await running.until(lambda: serves(running, "a=1 b=2"))


async def test_empty_input_never_empties_the_proxy() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        source.put(None)
        await running.until(lambda: running.results()[-1] == "held")
        assert serves(running, "a=1")
        source.put("2")
        await running.until(lambda: serves(running, "a=2"))


async def test_row_10_a_start_without_any_host_is_believed_after_a_while() -> None:
    def build(changes: Sequence[Change]) -> Built:
        names = ["", *(["a.example"] if any(change.object for change in changes) else [])]
        hosts = {name: Host(name, ()) for name in names}
        bundle = bundle_of(" ".join(names))
        config = Config(hosts, {}, {}, {}, Options())
        return Built(msgspec.structs.replace(bundle, config=config), (), 1)

    proxy, source = FakeProxy(accepted=bundle_of("before")), FakeSource()
    timing = msgspec.structs.replace(QUICK, doubt=0.3)
    async with Running(proxy, source, build, timing) as running:
        begun = time.monotonic()
        source.put(None)
        await running.until(lambda: running.results()[-1:] == ["held"])
        assert serves(running, "before")
        await running.until(lambda: serves(running, ""))
        assert time.monotonic() - begun > 0.25
    proxy, source = FakeProxy(accepted=bundle_of("before")), FakeSource()
    async with Running(proxy, source, build) as running:
        source.put(None)
        await running.until(lambda: running.results()[-1:] == ["held"])
        source.put("1")
        await running.until(lambda: serves(running, " a.example"))
        source.put(None)
        await running.until(lambda: serves(running, ""))


async def test_empty_input_is_served_where_nothing_was_before() -> None:
    proxy = FakeProxy()
    async with Running(proxy, FakeSource(Batch(()))) as running:
        await running.until(lambda: bool(attempts(running)))
    assert running.results()[-1] == "applied"


async def test_refused_configuration_waits_for_other_input() -> None:
    proxy, source = FakeProxy(), FakeSource()
    culprit = Source("Ingress", "shop", "web")
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        proxy.fail("validate", Rejected("line 3: no", (culprit,)))
        source.put("2")
        await running.until(lambda: running.results()[-1] == "rejected")
        await asyncio.sleep(0.2)
        assert (serves(running, "a=1"), proxy.count("validate"), proxy.count("apply")) == (True, 2, 1)
        source.put("3")
        await running.until(lambda: serves(running, "a=3"))
    issues = [event.issues for event in running.events if isinstance(event, IssuesFound)]
    assert issues == [(Issue(culprit, "RejectedByProxy", "line 3: no"),), ()]


@pytest.mark.parametrize(("step", "error"), [("apply", ApplyError("disk full")), ("confirm", NotConfirmed("silence"))])
async def test_failed_change_is_taken_back_and_tried_again(step: str, error: ApplyError) -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        begin = len(proxy.calls)
        proxy.fail(step, error)
        source.put("2")
        await running.until(lambda: serves(running, "a=2") and running.results()[-1] == "applied")
    back = ["apply a=1", "confirm a=1"]
    failing = ["validate a=2", "apply a=2"] + (["confirm a=2"] if step == "confirm" else [])
    assert proxy.calls[begin:-1] == [*failing, *back, "validate a=2", "apply a=2", "confirm a=2"]
    assert [event.error for event in running.events if isinstance(event, Restored)] == [""]
    assert [event.cause for event in attempts(running)] == ["input", "input", "retry"]


async def test_refusal_after_publishing_is_taken_back_but_not_tried_again() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        proxy.fail("confirm", Rejected("NACK"))
        source.put("2")
        await running.until(lambda: running.results()[-1] == "rejected")
        await asyncio.sleep(0.1)
        assert serves(running, "a=1")
        assert proxy.count("apply") == 3


async def test_without_a_way_back_the_next_try_assumes_nothing() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        proxy.fail("apply", ApplyError("gone"), ApplyError("still gone"))
        source.put("2")
        await running.until(lambda: running.results()[-1] == "applied" and serves(running, "a=2"))
    assert [event.error for event in running.events if isinstance(event, Restored)] == ["still gone"]
    last = attempts(running)[-1].plan
    assert last
    assert last.old is None


async def test_first_configuration_that_fails_is_tried_again_with_growing_delays() -> None:
    proxy, source = FakeProxy(), FakeSource()
    proxy.fail("apply", *[ApplyError("port taken")] * 4)
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
    assert [event.result for event in attempts(running)] == ["failed"] * 4 + ["applied"]
    assert not any(isinstance(event, Restored) for event in running.events)


async def test_changed_input_does_not_wait_for_the_retry() -> None:
    proxy, source = FakeProxy(), FakeSource()
    proxy.fail("apply", *[ApplyError("port taken")] * 9)
    async with Running(proxy, source) as running:
        running.loop._apply_backoff.tries = 100
        running.loop._apply_backoff.timing = running.loop.timing.__class__(first=60.0, limit=60.0)
        source.put("1")
        await running.until(lambda: running.results()[-1:] == ["failed"])
        proxy.failures.clear()
        source.put("2")
        await running.until(lambda: serves(running, "a=2"))


async def test_hundred_batches_during_an_apply_give_one_more() -> None:
    proxy, source = FakeProxy(), FakeSource()
    gate = proxy.gate("apply")
    async with Running(proxy, source) as running:
        source.put("0")
        await running.until(lambda: proxy.count("apply") == 1)
        for number in range(1, 101):
            source.put(str(number))
            await asyncio.sleep(0)
        await running.until(source.queue.empty)
        gate.set()
        await running.until(lambda: serves(running, "a=100"))
        await asyncio.sleep(0.05)
    assert [call for call in proxy.calls if call.startswith("apply")] == ["apply a=0", "apply a=100"]


async def test_reloads_keep_their_distance_and_the_latest_state_wins() -> None:
    proxy, source, begun = FakeProxy(), FakeSource(), time.monotonic()
    async with Running(proxy, source, timing=msgspec.structs.replace(QUICK, reload_interval=0.3)) as running:
        for value in range(50):
            source.put(str(value))
            await asyncio.sleep(0.02)
        await running.until(lambda: serves(running, "a=49"))
    assert 2 <= proxy.count("apply") <= (time.monotonic() - begun) / 0.3 + 1
    assert [event.cause for event in attempts(running)] == ["input"] * proxy.count("apply")


async def test_what_needs_no_reload_does_not_wait_and_a_proxy_that_dies_meanwhile_is_noticed() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source, timing=msgspec.structs.replace(QUICK, reload_interval=60.0)) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        source.put("1")
        await running.until(lambda: has_attempts(running, 2))
        source.put("2")
        await asyncio.sleep(0.05)
        assert serves(running, "a=1")
        proxy.death.set()
        await running.until(lambda: proxy.count("resume") == 2)


async def test_dead_proxy_is_started_again_with_what_it_accepted() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        begin = len(proxy.calls)
        proxy.death.set()
        await running.until(lambda: len(attempts(running)) == 2)
        assert serves(running, "a=1")
    assert proxy.calls[begin:-1] == ["resume", "confirm a=1"]
    assert [(event.description, event.delay) for event in running.events if isinstance(event, ProxyGone)] == [
        ("it crashed", 0.0)
    ]


async def test_dead_proxy_that_cannot_be_started_gets_the_configuration_anew() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        begin = len(proxy.calls)
        proxy.fail("resume", ApplyError("cannot start"), ApplyError("cannot start"))
        proxy.fail("validate", ApplyError("cannot run"))
        proxy.death.set()
        await running.until(lambda: [event.result for event in attempts(running)] == ["applied", "failed", "applied"])
        assert serves(running, "a=1")
    again = ["resume", "validate a=1"]
    assert proxy.calls[begin:-1] == [*again, *again, "apply a=1", "confirm a=1"]
    losses = [event for event in running.events if isinstance(event, ProxyGone)]
    assert [loss.description for loss in losses] == ["it crashed", "cannot start", "cannot start"]


async def test_proxy_that_dies_during_a_refused_change_is_started_again() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        gate = proxy.gate("validate")
        proxy.fail("validate", Rejected("no"))
        source.put("2")
        await running.until(lambda: proxy.count("validate") == 2)
        proxy.death.set()
        await running.until(lambda: proxy.serving is None)
        gate.set()
        await running.until(lambda: proxy.count("resume") == 2)


async def test_proxy_that_keeps_dying_is_started_ever_later() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        for number in range(2, 7):
            proxy.death.set()
            await running.until(functools.partial(has_attempts, running, number))
            assert serves(running, "a=1")
    delays = [event.delay for event in running.events if isinstance(event, ProxyGone)]
    assert delays[0] == 0.0
    assert delays[4] > delays[1] > 0.0
    assert max(delays) <= running.loop.timing.limit


async def test_proxy_that_cannot_be_found_at_start_does_not_keep_input_waiting() -> None:
    proxy, source = FakeProxy(), FakeSource()
    proxy.fail("resume", *[ApplyError("no pid file")] * 3)
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))


async def test_failing_source_is_asked_again() -> None:
    proxy = FakeProxy()
    source = FakeSource(SourceError("permission denied"), SourceError("permission denied"), Batch((state("a", "1"),)))
    async with Running(proxy, source) as running:
        await running.until(lambda: serves(running, "a=1"))
    assert [event.description for event in running.events if isinstance(event, SourceFailed)] == [
        "permission denied"
    ] * 2


async def test_defect_while_building_leaves_what_is_live_and_is_tried_again() -> None:
    proxy, source = FakeProxy(), FakeSource()
    faults = [ZeroDivisionError(), KeyError("x")]

    def build(changes: Sequence[Change]) -> Built:
        built = running.build(changes)
        if b"a=2" in built.bundle.files["proxy.conf"] and faults:
            raise faults.pop()
        return built

    running = Running(proxy, source, build)
    async with running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        source.put("2")
        await running.until(lambda: serves(running, "a=2"))
    assert [type(event.error) for event in running.events if isinstance(event, Fault)] == [KeyError, ZeroDivisionError]


async def test_building_does_not_block_the_event_loop() -> None:
    proxy, source, may_go_on = FakeProxy(), FakeSource(), threading.Event()

    def build(changes: Sequence[Change]) -> Built:
        assert may_go_on.wait(5)
        return running.build(changes)

    running = Running(proxy, source, build)
    async with running:
        source.put("1")
        await running.until(source.queue.empty)
        may_go_on.set()
        await running.until(lambda: serves(running, "a=1"))


async def test_defect_of_the_source_is_no_end() -> None:
    proxy, source = FakeProxy(), FakeSource()
    source.queue.put_nowait(ZeroDivisionError())
    source.put("1")
    async with Running(proxy, source) as running:
        await running.until(lambda: serves(running, "a=1"))
    assert [type(event.error) for event in running.events if isinstance(event, Fault)] == [ZeroDivisionError]


async def test_refusal_by_the_renderer_is_a_refusal() -> None:
    proxy, source = FakeProxy(), FakeSource()
    culprit = Source("Ingress", "shop", "web")
    refusals = [Rejected("no", (culprit,)), Rejected("no", (culprit,))]

    def build(changes: Sequence[Change]) -> Built:
        built = running.build(changes)
        if b"a=1" not in built.bundle.files["proxy.conf"] and refusals:
            raise refusals.pop()
        return built

    running = Running(proxy, source, build)
    async with running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        for number in (2, 3):
            source.put(str(number))
            await running.until(functools.partial(has_attempts, running, number))
        source.put("4")
        await running.until(lambda: serves(running, "a=4"))
    assert [event.result for event in attempts(running)] == ["applied", "rejected", "rejected", "applied"]
    told = [event.issues for event in running.events if isinstance(event, IssuesFound)]
    assert told == [(Issue(culprit, "RejectedByProxy", "no"),), ()]


@pytest.mark.parametrize("step", ["resume", "validate"])
async def test_setting_that_makes_no_sense_ends_a_gen_that_serves_nothing(step: str) -> None:
    proxy, source = FakeProxy(), FakeSource()
    proxy.fail(step, UsageError("nginx 1.18 is too old"))
    running = Running(proxy, source)
    source.put("1")
    with pytest.raises(UsageError, match="too old"):
        await running.loop.run(running.stopping, running.hurry)
    assert proxy.is_closed


async def test_setting_that_makes_no_sense_any_more_is_a_failure() -> None:
    proxy, source = FakeProxy(), FakeSource()
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        proxy.fail("validate", UsageError("there is no nginx"))
        source.put("2")
        await running.until(lambda: serves(running, "a=2"))
    assert [event.result for event in attempts(running)] == ["applied", "failed", "applied"]


# ------------------------------------------------------------------ the end


@pytest.mark.parametrize("step", ["resume", "validate"])
async def test_stop_before_publishing_abandons_the_change(step: str) -> None:
    proxy, source = FakeProxy(), FakeSource()
    proxy.gate(step)
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: proxy.count(step) == 1)
        await running.stop()
    assert proxy.count("apply") == 0
    assert proxy.is_closed


@pytest.mark.parametrize("step", ["apply", "confirm"])
async def test_stop_while_publishing_finishes_the_change(step: str) -> None:
    proxy, source = FakeProxy(), FakeSource()
    gate = proxy.gate(step)
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: proxy.count(step) == 1)
        source.put("2")
        running.stopping.set()
        await asyncio.sleep(0.02)
        assert not proxy.is_closed
        gate.set()
        await running.stop()
    assert proxy.calls[-2:] == ["confirm a=1", "close"]


async def test_stop_while_publishing_hangs_gives_up_after_a_while() -> None:
    proxy, source = FakeProxy(), FakeSource()
    proxy.gate("confirm")
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: proxy.count("confirm") == 1)
        await running.stop()
    assert proxy.calls[-1] == "close"


async def test_stop_during_a_retry_delay_is_immediate() -> None:
    proxy, source = FakeProxy(), FakeSource()
    proxy.fail("apply", *[ApplyError("no")] * 1000)
    async with Running(proxy, source) as running:
        source.put("1")
        await running.until(lambda: running.results()[-1:] == ["failed"])
        await running.stop()
    assert proxy.is_closed


async def test_second_signal_cuts_the_closing_short() -> None:
    proxy, source = FakeProxy(), FakeSource()
    proxy.gate("close")
    running = Running(proxy, source)
    async with running:
        source.put("1")
        await running.until(lambda: serves(running, "a=1"))
        running.stopping.set()
        await running.until(lambda: proxy.calls[-1] == "close")
        running.hurry.set()
        assert running.task
        await asyncio.wait_for(running.task, 0.3)


async def test_resumed_bundle_is_told() -> None:
    accepted = bundle_of("a=1")
    async with Running(FakeProxy(accepted), FakeSource()) as running:
        await running.until(lambda: bool(running.events))
    assert running.events == [ProxyResumed(accepted)]
