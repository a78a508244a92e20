"""A pod as processes: the containers of an overlay with their own arguments, started in the order of a kubelet.

The volumes are directories.  Where the tests are run by root, the processes are not: they have the pod's user, who can
write to the volumes and nowhere else.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from gen.cli.options import CLUSTER, WRITE
from tests.deploy.overlays import environment, gen_of, pod_of, proxy_of
from tests.live.echo import EchoNet
from tests.live.gen import ENDS_WITH_THE_TESTS, GEN, LIVE_WITHIN, GenRun
from tests.live.manifests import Manifest
from tests.live.net import ADMIN_PORT, HTTP_PORT, HTTPS_PORT
from tests.live.proxies import SEARCH

REACH = ("--proxy-pid-file", "--proxy-socket", "--reload-command")
FOR_CLUSTERS = {flag.envvar for flag in (*CLUSTER, *WRITE)}
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"


class Pod(GenRun):
    """One pod of an overlay at a loopback address; gen reads manifests instead of a cluster.

    Shape: `reach` is how gen reaches the proxy, where it is not as the overlay has it.
    """

    def __init__(self, objects: tuple[Manifest, ...], echo: EchoNet, *, reach: str = "") -> None:
        self.spec = pod_of(objects)
        self.variables = {name: value for name, value in environment(objects).items() if name not in FOR_CLUSTERS}
        self.reach = reach
        super().__init__(proxy_of(self.spec)["name"], Path(tempfile.mkdtemp(prefix="pod-")), echo)
        self.folder.chmod(0o711)
        self.volumes = {
            mount["mountPath"]: self.folder / mount["name"]
            for mount in gen_of(self.spec)["volumeMounts"]
            if mount["mountPath"] != TOKEN
        }
        for directory in self.volumes.values():
            directory.mkdir()
            if os.geteuid() == 0:
                os.chown(directory, self.spec["securityContext"]["runAsUser"], -1)
        self.state = self.volumes["/var/lib/gen"]
        self.proxy_log = self.folder / "proxy.log"
        self.proxy: subprocess.Popen[bytes] | None = None

    def __exit__(self, *_: object) -> None:
        try:
            self.end_proxy(signal.SIGKILL)
            self.stop()
        finally:
            shutil.rmtree(self.folder)

    # ------------------------------------------------------------------ what a kubelet does

    def mapped(self, words: Iterable[str]) -> list[str]:
        """Words of the manifest with the directories that stand for the volumes."""
        found = list(words)
        for mount, directory in self.volumes.items():
            found = [word.replace(mount, str(directory)) for word in found]
        return found

    def as_user(self, *, reads: bool) -> list[str]:
        """Before a command: the pod's user; `reads` lets it read what a Python below /root needs."""
        if os.geteuid() != 0:
            return list(ENDS_WITH_THE_TESTS)
        user = self.spec["securityContext"]["runAsUser"]
        powers = "+dac_read_search" if reads else "-all"
        return [
            "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--inh-caps={powers}",
            f"--ambient-caps={powers}", "--no-new-privs", *ENDS_WITH_THE_TESTS,
        ]  # fmt: skip

    @property
    def command(self) -> list[str]:
        """The gen of the pod, with the arguments of its container; the last of two flags counts."""
        given = gen_of(self.spec)["args"]
        if self.reach:
            given = [*(word for word in given if not word.startswith(REACH)), self.reach]
        args = self.mapped(given)
        ports = [f"--http-port={HTTP_PORT}", f"--https-port={HTTPS_PORT}", f"--admin={self.address}:{ADMIN_PORT}"]
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        program = ["env", *variables, GEN, *args, "-f", str(self.manifests), f"--bind={self.address}", *ports]
        return [*self.as_user(reads=True), *program]

    def start_pod(self) -> None:
        """First gen; once its startup probe passes, the proxy."""
        self.start(ready=False)
        probe = self.mapped(gen_of(self.spec)["startupProbe"]["exec"]["command"])
        self.wait("pass its startup probe", lambda: subprocess.run(probe, check=False).returncode == 0, LIVE_WITHIN)
        self.start_proxy()

    def start_proxy(self) -> None:
        """The other container."""
        assert not self.proxy
        command = [*self.as_user(reads=self.backend == "envoy"), *self.mapped(proxy_of(self.spec)["command"])]
        with self.proxy_log.open("ab") as log:
            self.proxy = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": SEARCH}, cwd="/"
            )

    def end_proxy(self, number: signal.Signals) -> None:
        """End the proxy and whatever belongs to it."""
        process, self.proxy = self.proxy, None
        if process:
            process.send_signal(number)
            process.wait(20)
            for pid, command in self.processes().items():
                if GEN not in command:
                    os.kill(pid, signal.SIGKILL)

    def pre_stop(self) -> subprocess.Popen[bytes]:
        """What the kubelet runs before it ends the proxy, without the pauses."""
        hook = proxy_of(self.spec)["lifecycle"]["preStop"]["exec"]["command"]
        words = [re.sub(r"sleep \d+", "true", word) for word in self.mapped(hook)]
        with self.proxy_log.open("ab") as log:
            return subprocess.Popen(
                [*self.as_user(reads=True), *words], env={**os.environ, "PATH": SEARCH}, stdout=log, stderr=log
            )

    def tail(self, limit: int = 3000) -> str:
        """The ends of the logs."""
        said = self.proxy_log.read_text(errors="replace") if self.proxy_log.exists() else ""
        return f"{super().tail(limit)}\n--- the proxy\n{said[-limit:]}"
