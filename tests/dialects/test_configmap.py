"""The keys of the global ConfigMap: defaults, effective values, options."""

from __future__ import annotations

import pytest

from gen.dialects.ingress_nginx.configmap import BY_NAME, SETTINGS, effective
from gen.dialects.ingress_nginx.options import fields
from gen.ir import Options
from gen.offline.settings import settings_table
from gen.policy import Buffering, Forwarded, Gzip
from gen.store import Store
from gen.translate import Settings
from tests.live.manifests import manifest
from tests.translate.translating import objects, store_of


def options(*, is_spec: bool = False, **keys: str) -> dict[str, object]:
    found, faults = effective({name.replace("_", "-"): text for name, text in keys.items()}, is_spec=is_spec)
    assert not faults
    return dict(fields(found))


PROFILE = {"body_limit": 1024**2, "hsts": "max-age=31536000; includeSubDomains", "hidden_headers": ("Server",)}
OPTIONS: dict[str, tuple[dict[str, str], dict[str, object]]] = {
    "hsts": ({"hsts_max_age": "60", "hsts_include_subdomains": "false", "hsts_preload": "true"},
             {"hsts": "max-age=60; preload"}),
    "body": ({"proxy_body_size": "2k"}, {"body_limit": 2048}),
    "timeouts": ({"proxy_connect_timeout": "7", "keep_alive": "10", "worker_shutdown_timeout": "1m"},
                 {"connect_timeout": 7.0, "idle_timeout": 10.0, "drain_timeout": 60.0}),
    "gzip": ({"use_gzip": "true", "gzip_level": "5", "gzip_types": "a/b c/d"}, {"gzip": Gzip(5, 256, ("a/b", "c/d"))}),
    "forwarded": ({"use_forwarded_headers": "true", "proxy_real_ip_cidr": "10.0.0.0/8"},
                  {"forwarded": Forwarded(headers=True, networks=("10.0.0.0/8",))}),
    "real ip": ({"enable_real_ip": "true", "forwarded_for_header": "X-Client"},
                {"forwarded": Forwarded(networks=("0.0.0.0/0", "::/0"), address_header="X-Client")}),
    "append": ({"compute_full_forwarded_for": "true"}, {"forwarded": Forwarded(append=True)}),
    "proxy protocol": ({"use_proxy_protocol": "true"}, {"proxy_protocol": ("0.0.0.0/0", "::/0")}),
    "tls": ({"ssl_protocols": "TLSv1.2", "ssl_ciphers": "HIGH", "ssl_reject_handshake": "true"},
            {"tls_protocols": ("TLSv1.2",), "tls_ciphers": "HIGH", "reject_unknown_names": True}),
    "blocks": ({"block_cidrs": "10.0.0.0/8", "block_user_agents": "~*bot.*,curl"},
               {"block_networks": ("10.0.0.0/8",), "block_user_agents": ((True, "bot.*"), (False, "curl"))}),
    "retries": ({"proxy_next_upstream": "http_502", "retry_non_idempotent": "true", "proxy_next_upstream_tries": "2"},
                {"retry_conditions": ("http_502", "non_idempotent"), "tries": 2}),
    "buffers": ({"proxy_buffering": "on"}, {"buffering": Buffering(response=True)}),
    "headers": ({"hide_headers": "X-A,X-B", "enable_underscores_in_headers": "true", "generate_request_id": "false"},
                {"hidden_headers": ("X-A", "X-B", "Server"), "underscores_in_headers": True, "request_id": False}),
    "server": ({"allow_backend_server_header": "true"}, {}),
    "log": ({"disable_access_log": "true"}, {"access_log": False}),
}  # fmt: skip


@pytest.mark.parametrize(("keys", "expected"), OPTIONS.values(), ids=list(OPTIONS))
def test_what_keys_become(keys: dict[str, str], expected: dict[str, object]) -> None:
    profile = PROFILE | ({"hidden_headers": None} if "allow_backend_server_header" in keys else {})
    wanted = {name: value for name, value in (profile | expected).items() if value is not None}
    assert options(is_spec=False, **keys) == wanted
    assert set(wanted) <= set(Options.__struct_fields__)


def test_the_spec_profile_leaves_the_options_alone() -> None:
    assert options(is_spec=True) == {}
    assert options(is_spec=True, hsts="true")["hsts"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_every_key_is_whole(row: object) -> None:
    found = BY_NAME[getattr(row, "name")]  # noqa: B009
    assert found.doc.endswith(".")
    assert found.parse(found.default) == found.parse(found.default)
    if found.in_spec is not None:
        found.parse(found.in_spec)
    shown, faults = effective({found.name: f"\x00;{{$ {found.name} ☃"}, is_spec=False)
    assert [code for _, code, _ in faults] == ["ConfigInvalid"] or found.name in FREE
    assert shown[found.name].origin != "ConfigMap" or found.name in FREE


FREE = frozenset(("annotation-value-word-blocklist", "annotations-allowed"))


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(SETTINGS)


def test_a_key_that_nobody_knows() -> None:
    _, faults = effective({"no-such-key": "x"}, is_spec=False)
    assert [code for _, code, _ in faults] == ["ConfigUnsupported"]


def test_the_table_names_origins() -> None:
    settings = Settings(profile="ingress-nginx", configmap="infra/gen")
    data = {"hsts": "false", "gzip-level": "99"}
    rows = settings_table(settings, store_of(objects([manifest("v1", "ConfigMap", "gen", "infra", data=data)])))
    origins = {row.key: (row.value, row.origin) for row in rows}
    assert origins["hsts"] == ("false", "ConfigMap infra/gen")
    assert origins["gzip-level"] == ("1", "default")
    assert origins["proxy-body-size"] == ("1m", "profile ingress-nginx")
    spec = {row.key: (row.value, row.origin) for row in settings_table(Settings(), Store())}
    assert spec["proxy-body-size"] == ("0", "default")
    assert [row.key for row in rows] == sorted(BY_NAME)
