"""Processes as the overlays arrange them: a change reaches the proxy, and gen and the proxy may each be restarted."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.deploy.overlays import overlay
from tests.deploy.pod import Pod
from tests.live.echo import EchoNet
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service
from tests.live.net import free_port, fresh_address
from tests.live.proxies import BACKENDS, need_proxy

HOST = "shop.example"
WAYS = {
    "nginx -s": ("nginx", "--reload-command=nginx -p /run/gen -c /var/lib/gen/current/nginx.conf -s reload"),
    "SIGUSR2": ("haproxy", "--proxy-pid-file=/run/gen/haproxy.pid"),
    "kill": ("haproxy", """--reload-command=sh -c 'kill -USR2 "$(cat /run/gen/haproxy.pid)"'"""),
    "xDS over TCP": ("envoy", "--proxy-socket=tcp:127.0.0.1:{port}"),
}
"""Other ways to reach a proxy than those of the overlays."""


@pytest.fixture(scope="module", params=BACKENDS)
def pod(request: pytest.FixtureRequest, echo: EchoNet) -> Iterator[Pod]:
    """A running pod of the overlay of that name."""
    need_proxy(request.param)
    with Pod(overlay(request.param), echo) as pod:
        pod.write(pod.marked([])[1])
        pod.start_pod()
        pod.wait("be ready", pod.is_ready, 40)
        yield pod


@pytest.fixture
def shop(echo: EchoNet) -> Callable[[str], list[Manifest]]:
    """Makes a shop that one Service serves."""

    def leads_to(name: str) -> list[Manifest]:
        address = fresh_address(8080)
        echo.listen(address, 8080, f"shop/{name}")
        rules = {HOST: [path("/", name)]}
        return [service(name, "shop"), endpoint_slice(name, "shop", [address]), ingress("shop", "shop", rules)]

    return leads_to


def test_a_changed_ingress_reaches_the_proxy(pod: Pod, shop: Callable[[str], list[Manifest]]) -> None:
    for name in ("old", "new"):
        pod.apply(shop(name))
        assert pod.get(f"http://{HOST}/").service == f"shop/{name}"
    assert pod.proxy
    assert pod.proxy.poll() is None, "it is the process that was started"


def test_gen_is_restarted_and_nobody_notices(pod: Pod, shop: Callable[[str], list[Manifest]]) -> None:
    pod.apply(shop("before"))
    pod.kill()
    assert pod.get(f"http://{HOST}/").service == "shop/before"
    pod.start()
    assert pod.get(f"http://{HOST}/").service == "shop/before"
    pod.apply(shop("after"))
    assert pod.get(f"http://{HOST}/").service == "shop/after"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_proxy_is_restarted_and_serves_at_once(
    pod: Pod, shop: Callable[[str], list[Manifest]], number: signal.Signals
) -> None:
    pod.apply(shop("before"))
    pod.end_proxy(number)
    pod.start_proxy()
    pod.wait("serve again", lambda: pod.get(f"http://{HOST}/").service == "shop/before", 20)
    pod.apply(shop("after"))
    assert pod.get(f"http://{HOST}/").service == "shop/after"


def test_it_takes_its_leave(pod: Pod) -> None:
    proxy = pod.proxy
    assert proxy
    hook = pod.pre_stop()
    if pod.backend == "envoy":  # it closes its ports, and is ended by the kubelet
        assert hook.wait(20) == 0
        with pytest.raises(OSError, match="refused"):
            pod.get(f"http://{HOST}/")
        pod.end_proxy(signal.SIGTERM)
    else:
        assert proxy.wait(20) == 0
        hook.wait(20)
        pod.proxy = None
    pod.start_proxy()
    pod.wait("be there again", lambda: pod.get(f"http://{HOST}/").status != 0, 20)


@pytest.mark.parametrize("way", WAYS)
def test_every_other_way_to_reach_the_proxy(way: str, echo: EchoNet, shop: Callable[[str], list[Manifest]]) -> None:
    backend, reach = WAYS[way]
    need_proxy(backend)
    with Pod(overlay(backend), echo, reach=reach.format(port=free_port())) as pod:
        pod.write(pod.marked([])[1])
        pod.start_pod()
        pod.wait("be ready", pod.is_ready, 40)
        for name in ("old", "new"):
            pod.apply(shop(name))
            assert pod.get(f"http://{HOST}/").service == f"shop/{name}"
        assert pod.proxy
        assert pod.proxy.poll() is None, "it is the process that was started"
