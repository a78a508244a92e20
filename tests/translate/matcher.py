"""What a proxy does with the model: which route of a Config takes a request."""

from __future__ import annotations

from urllib.parse import unquote

from gen.ir import Config, Forward, Host, Match, Route


def host_for(config: Config, host: str) -> Host:
    """The virtual host for a Host header in lower case and without port."""
    wildcard = "*." + host.partition(".")[2]
    return config.hosts.get(host) or config.hosts.get(wildcard) or config.hosts[""]


def route_for(config: Config, host: str, path: str) -> Route:
    """The route that takes a request: the first one that matches."""
    return next(route for route in host_for(config, host).routes if is_match(route.match, unquote(path)))


def service_for(config: Config, host: str, path: str) -> str | None:
    """The Service that answers, None where the proxy does."""
    action = route_for(config, host, path).action
    return action.split[0].upstream.partition("/")[2].partition(":")[0] if isinstance(action, Forward) else None


def is_match(match: Match, path: str) -> bool:
    """Whether a match takes a decoded path."""
    if match.kind == "exact":
        return path == match.path
    return path == match.path or path.startswith(match.path.removesuffix("/") + "/")
