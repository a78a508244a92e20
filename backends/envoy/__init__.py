"""Envoy: everything by xDS, from a server within gen; confirmed by its acknowledgements."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from backends.envoy.lacks import lacks
from backends.envoy.words import WORDS
from gen.backend import Bundle, Placement, Plan

if TYPE_CHECKING:
    from backends.envoy.control import Control
    from backends.envoy.render import Renderer
    from gen.ir import Config


OPTIONS = (
    *("forwarded", "proxy_protocol", "block_networks", "block_user_agents", "block_referers"),
    *("tls_protocols", "tls_ciphers", "tls_session_tickets", "reject_unknown_names"),
    *("http2", "http2_streams", "header_timeout", "idle_requests", "underscores_in_headers", "request_id"),
    *("hsts", "request_headers", "response_headers", "hidden_headers", "gzip"),
)


class Envoy:
    """Envoys from 1.36 on; see gen.backend.Backend for what each method gives and raises."""

    name = "envoy"
    features = frozenset(
        (
            *("regex", "weights", "dns"),
            *("https_redirect", "cors", "rewrite", "forwarded_prefix", "upstream_host"),
            *("request_headers", "response_headers", "cookie_rewrites", "redirect_rewrites"),
            *("mirror", "canary", "affinity", "hash_by", "hash_subset", "balance"),
            *("protocol", "upstream_tls", "timeouts", "retries", "connection_header", "access_log"),
            *("allow", "deny", "auth_basic", "auth_external", "satisfy_any", "rate_limits", "body_limit", "bandwidth"),
            *("aliases", "alias_patterns", "client_certificate", "ciphers", "prefer_server_ciphers"),
            *("error_pages", "fallback"),
            *(f"options.{name}" for name in OPTIONS),
        )
    )
    lacks = staticmethod(lacks)
    words = WORDS

    def __init__(self, placement: Placement) -> None:
        self.placement = placement

    @cached_property
    def _renderer(self) -> Renderer:
        from backends.envoy.render import Renderer

        return Renderer()

    @cached_property
    def _control(self) -> Control:
        from backends.envoy.control import Control  # processes and the network: not needed to render

        return Control(self.placement)

    def render(self, config: Config) -> Bundle:
        """The files of a Config.  Raises Rejected, with the object to blame, for what Envoy has no words for."""
        return self._renderer.render(config)

    def plan(self, old: Bundle | None, new: Bundle) -> Plan:
        """Nothing, a push, or a start."""
        from backends.envoy.plan import plan

        return plan(old, new)

    async def validate(self, bundle: Bundle) -> None:
        """`envoy --mode validate` over what has not passed before."""
        await self._control.validate(bundle)

    async def resume(self) -> Bundle | None:
        """Serve the last accepted generation to a running Envoy, or start one."""
        return await self._control.resume()

    async def apply(self, plan: Plan) -> None:
        """Offer the new resources; start Envoy where none runs."""
        await self._control.apply(plan)

    async def confirm(self, plan: Plan) -> None:
        """Wait for the acknowledgements.  Raises Rejected too, with Envoy's words."""
        await self._control.confirm(plan)

    async def exited(self) -> str:
        """Return when the managed Envoy has gone."""
        return await self._control.exited()

    async def close(self) -> None:
        """Stop a managed Envoy, and the xDS server."""
        await self._control.close()


def create(placement: Placement) -> Envoy:
    """The backend for Envoy."""
    return Envoy(placement)
