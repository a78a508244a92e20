"""HAProxy: routing by map files, reload through the master socket, confirmed by its `description`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from backends.haproxy.lacks import lacks
from backends.haproxy.words import WORDS
from gen.backend import Bundle, Placement, Plan

if TYPE_CHECKING:
    from backends.haproxy.control import Control
    from backends.haproxy.render import Renderer
    from gen.ir import Config


OPTIONS = (
    *("hsts", "tls_protocols", "tls_ciphers", "tls_session_tickets", "reject_unknown_names", "forwarded"),
    *("proxy_protocol", "request_headers", "response_headers", "hidden_headers", "underscores_in_headers"),
    *("request_id", "block_networks", "block_user_agents", "block_referers", "gzip", "retry_conditions"),
    *("header_timeout", "body_timeout", "http2", "http2_streams", "max_connections", "access_log"),
)


class Haproxy:
    """One HAProxy from 2.6 on; see gen.backend.Backend for what each method gives and raises."""

    name = "haproxy"
    features = frozenset(
        (
            *("regex", "weights", "dns"),
            *("allow", "deny", "auth_basic", "auth_external", "satisfy_any", "rate_limits", "connection_limit"),
            *("https_redirect", "cors", "rewrite", "forwarded_prefix", "upstream_host"),
            *("request_headers", "response_headers", "cookie_rewrites", "redirect_rewrites"),
            *("error_pages", "fallback", "mirror", "canary", "affinity", "hash_by", "balance"),
            *("aliases", "alias_patterns", "client_certificate", "ciphers", "access_log"),
            *(f"options.{name}" for name in OPTIONS),
            *("protocol", "upstream_tls", "fastcgi", "timeouts", "retries", "body_limit", "connection_header"),
            "prefer_server_ciphers",
        )
    )
    lacks = staticmethod(lacks)
    words = WORDS

    def __init__(self, placement: Placement) -> None:
        self.placement = placement

    @cached_property
    def _renderer(self) -> Renderer:
        from backends.haproxy.render import Renderer

        return Renderer()

    @cached_property
    def _control(self) -> Control:
        from backends.haproxy.control import Control  # asyncio and all that runs children: not needed to render

        return Control(self.placement)

    def render(self, config: Config) -> Bundle:
        """The files of a Config.  Raises Rejected, with the object to blame, for what HAProxy has no words for."""
        return self._renderer.render(config)

    def plan(self, old: Bundle | None, new: Bundle) -> Plan:
        """Nothing, or a reload and its reason."""
        from backends.haproxy.plan import plan

        return plan(old, new)

    async def validate(self, bundle: Bundle) -> None:
        """`haproxy -c` over the written generation."""
        await self._control.validate(bundle)

    async def resume(self) -> Bundle | None:
        """Adopt the proxy that runs, or start the last accepted generation."""
        return await self._control.resume()

    async def apply(self, plan: Plan) -> None:
        """Publish the generation, then start or reload."""
        await self._control.apply(plan)

    async def confirm(self, plan: Plan) -> None:
        """Wait for the digest in `show info`."""
        await self._control.confirm(plan)

    async def exited(self) -> str:
        """Return when the managed master has gone."""
        return await self._control.exited()

    async def close(self) -> None:
        """Stop a managed proxy, leave an external one alone."""
        await self._control.close()


def create(placement: Placement) -> Haproxy:
    """The backend for HAProxy."""
    return Haproxy(placement)
