"""Where the API server is and who we are there: the kubernetes package reads kubeconfigs and the files of a pod.

That package is imported here alone, and only when a cluster is asked for: it costs a third of a second.  Its clients,
its watch and its models are not used.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gen.errors import InputError

if TYPE_CHECKING:
    from kubernetes.client import Configuration

Load = Callable[[], "Access"]


class Access:
    """How requests reach one API server with one identity.  Raises InputError."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.server: str = configuration.host.rstrip("/")
        self.server_name: str | None = configuration.tls_server_name
        with _told_as_input_error():
            self.proxy = proxy_of(configuration)
            self.tls = tls_of(configuration)

    def headers(self) -> dict[str, str]:
        """What proves who we are; may read a file or run a plugin, so it is asked for each request and in a thread."""
        with _told_as_input_error():
            setting = self._configuration.auth_settings().get("BearerToken")
        return {setting["key"]: str(setting["value"]).strip()} if setting else {}


def proxy_of(configuration: Configuration) -> str | None:
    """The proxy on the way to the API server: from the kubeconfig, else from the environment, as kubectl does it."""
    from kubernetes.client.rest import should_bypass_proxies

    proxy: str | None = configuration.proxy
    return None if not proxy or should_bypass_proxies(configuration.host, configuration.no_proxy or "") else proxy


def tls_of(configuration: Configuration) -> ssl.SSLContext:
    """Whom to trust, and our client certificate if there is one."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    # Many clusters' own CAs lack extensions that Python 3.13 began to insist on; kubectl does not ask for them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def load_access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """The access that a kubeconfig gives; without one, what a pod is given, else the user's own kubeconfig.

    Raises: InputError when neither can be read.
    """
    from kubernetes import config
    from kubernetes.client import Configuration

    from_pod: Callable[..., None] = config.load_incluster_config
    from_file: Callable[..., None] = config.load_kube_config
    configuration = Configuration()
    with _told_as_input_error(kubeconfig):
        if kubeconfig is None and context is None:
            try:
                from_pod(configuration)
            except config.ConfigException:
                from_file(client_configuration=configuration)
        else:
            from_file(kubeconfig, context, client_configuration=configuration)
    return Access(configuration)


@contextmanager
def _told_as_input_error(file: str | None = None) -> Iterator[None]:
    """Whatever the readers of configurations trip over, in one word."""
    import yaml
    from kubernetes.config import ConfigException

    try:
        yield
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        where = f"{file}: " if file else ""
        raise InputError(f"no access to a cluster: {where}{' '.join(str(error).split())}") from error
