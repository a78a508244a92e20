"""All that a user can say on the command line, as one frozen record; the defaults are here and nowhere else."""

from __future__ import annotations

from msgspec import Struct


class Flags(Struct, frozen=True, kw_only=True):
    """The values of every flag of every command; what a command does not have keeps its default.

    Shape: a field is named like its flag.  None means that nobody said anything, so the profile or the input decides.
    """

    # what is read
    filename: tuple[str, ...] = ()
    recursive: bool = False
    namespace: str = ""
    all_namespaces: bool = False
    selector: str = ""
    kubeconfig: str = ""
    context: str = ""
    secrets: str = "watch"
    disable_ingress_class_lookup: bool = False

    # what is written into the cluster
    status: str | None = None
    publish_service: str = ""
    publish_status_address: tuple[str, ...] = ()
    publish_node_selector: str = ""
    report_node_internal_ip_address: bool = False
    update_status_on_shutdown: bool = False
    events: bool = False
    election_id: str = ""
    disable_leader_election: bool = False

    # what counts
    profile: str = "spec"
    ingress_class: str | None = None
    controller_class: str | None = None
    watch_ingress_without_class: bool | None = None
    ingress_class_by_name: bool = False
    watch_namespace: tuple[str, ...] = ()
    watch_namespace_selector: str = ""
    configmap: str = ""
    default_backend_service: str = ""
    default_ssl_certificate: str = ""
    disable_catch_all: bool = False
    disable_svc_external_name: bool | None = None
    annotations_prefix: str = "nginx.ingress.kubernetes.io"
    cluster_domain: str = "cluster.local"

    # the proxy
    backend: str = ""
    http_port: int = 80
    https_port: int = 443
    bind: tuple[str, ...] = ("0.0.0.0",)
    resolver: tuple[str, ...] = ()
    runtime_dir: str = ""
    proxy: str = "managed"
    proxy_binary: str = ""
    proxy_version: str = ""
    proxy_pid_file: str = ""
    proxy_socket: str = ""
    reload_command: str = ""

    # gen itself
    state_dir: str = ""
    admin: str = ""
    reload_interval: float = 1.0
    log_format: str = "text"
    log_level: str = "info"

    # single commands
    output: str = ""
    check: str = ""
    format: str = "text"
    fail_on: str = "error"
    directory: str = ""
    shell: str = ""
    named_for: bool = False
    name: str = "ingress-gen"
    service_account: str = "ingress-gen/ingress-gen"
