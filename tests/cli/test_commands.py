from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.live.gen import GEN

SHOP = Path(__file__).parents[2] / "examples" / "shop"
HEAVY = (
    "kubernetes",
    "grpc",
    "envoy_data_plane",
    "betterproto2",
    "watchdog",
    "prometheus_client",
    "aiohttp",
    "asyncio",
)
WARNED = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  rules:
  - host: shop.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
"""
WRONG = WARNED.replace("host: shop.example", "host: shop_example!")


def gen(
    *arguments: str | Path, stdin: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [GEN, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", **(env or {})},
    )


# ------------------------------------------------------------------ weight


@pytest.mark.parametrize(
    "arguments", [["render", "-b", "nginx", "-f", str(SHOP)], ["version"], ["check", "-f", str(SHOP)], ["--help"]]
)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from gen.cli import main; main(sys.argv[2:]); "
        "print(*[name for name in sys.argv[1].split() if name in sys.modules], file=sys.stderr, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, " ".join(HEAVY), *arguments], capture_output=True, text=True, check=True
    )
    assert set(done.stderr.splitlines()) & set(HEAVY) == set()


# ------------------------------------------------------------------ render


def test_artefact_on_stdout_diagnostics_on_stderr() -> None:
    done = gen("render", "-b", "nginx", "-f", "-", stdin=WARNED)
    assert done.returncode == 0
    assert "shop.example" in done.stdout
    assert "warning" not in done.stdout
    assert "<stdin>:" in done.stderr
    assert " warning NoEndpoints: " in done.stderr


def test_same_input_same_bytes_in_another_process_and_place(tmp_path: Path) -> None:
    outputs = []
    for number, seed in enumerate("01"):
        folder = tmp_path / str(number)
        env = {"PYTHONHASHSEED": seed, "TZ": ("UTC", "Asia/Tokyo")[number], "HOME": str(folder)}
        assert gen("render", "-b", "nginx", "-f", SHOP, "-o", folder, env=env).returncode == 0
        outputs.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
        outputs.append({Path(): gen("render", "-b", "nginx", "-f", SHOP, env=env).stdout.encode()})
    assert outputs[:2] == outputs[2:]


def test_no_private_key_on_stdout(tmp_path: Path) -> None:
    done = gen("render", "-b", "nginx", "-f", SHOP)
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    assert "holds a private key, so it is not printed" in done.stdout
    gen("render", "-b", "nginx", "-f", SHOP, "-o", tmp_path)
    keys = [path for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert keys
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)


def test_check_names_what_differs(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert gen("render", "-b", "nginx", "-f", SHOP, "--check", folder).returncode == 1
    gen("render", "-b", "nginx", "-f", SHOP, "-o", folder)
    done = gen("render", "-b", "nginx", "-f", SHOP, "--check", folder)
    assert (done.returncode, done.stdout) == (0, "")
    (folder / "nginx.conf").write_text("# edited\n")
    (folder / "extra.conf").write_text("")
    done = gen("render", "-b", "nginx", "-f", SHOP, "--check", folder)
    assert (done.returncode, done.stdout) == (1, "extra.conf\nnginx.conf\n")
    assert (folder / "nginx.conf").read_text() == "# edited\n"


def test_what_is_rendered_passes_the_real_test_and_what_is_damaged_does_not(tmp_path: Path) -> None:
    gen("render", "-b", "nginx", "-f", SHOP, "-o", tmp_path)
    done = gen("validate", "-b", "nginx", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    with (tmp_path / "nginx.conf").open("a") as file:
        file.write("nonsense\n")
    done = gen("validate", "-b", "nginx", tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert "nginx.conf" in done.stderr


def test_half_of_an_input_renders_nothing(tmp_path: Path) -> None:
    gen("render", "-b", "nginx", "-f", SHOP, "-o", tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = gen("render", "-b", "nginx", "-f", "-", "-o", tmp_path, stdin=WARNED + "---\nkind: [")
    assert done.returncode == 3
    assert "YamlInvalid" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


# ------------------------------------------------------------------ check and routes


@pytest.mark.parametrize(
    ("text", "fail_on", "status"),
    [
        (WRONG, "error", 1),
        (WARNED, "error", 0),
        (WARNED, "warning", 1),
        (WARNED, "info", 1),
    ],
)
def test_check_fails_from_the_chosen_severity_on(text: str, fail_on: str, status: int) -> None:
    assert gen("check", "-f", "-", "--fail-on", fail_on, stdin=text).returncode == status


def test_check_says_it_as_lines_and_as_json() -> None:
    lines = gen("check", "-f", "-", stdin=WRONG).stdout.splitlines()
    assert any(line.startswith("<stdin>:") and " error InvalidHost: " in line for line in lines)
    document = json.loads(gen("check", "-f", "-", "--format", "json", stdin=WRONG).stdout)
    assert document["schemaVersion"] == 1
    assert len(document["issues"]) == len(lines)
    assert "InvalidHost" in {issue["code"] for issue in document["issues"]}


def test_routes_as_table_and_as_json() -> None:
    done = gen("routes", "-f", SHOP)
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["HOST", "MATCH", "PATH", "ACTION", "ENDPOINTS", "FROM"]
    document = json.loads(gen("routes", "-f", SHOP, "-o", "json").stdout)
    assert len(document["routes"]) == len(rows)
    assert document["routes"][0]["host"] == rows[0].split()[0]


# ------------------------------------------------------------------ wrong usage, and the rest


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["rendr"], 2, "No such command 'rendr'"),
        (["render", "--bakend", "nginx"], 2, "No such option"),
        (["render", "-f", "x"], 2, "which proxy?"),
        (["render", "-b", "caddy"], 2, "'caddy' is not one of"),
        (["render", "-b", "nginx"], 2, "nothing to read"),
        (["render", "-b", "nginx", "-f", "/nonexistent"], 3, "/nonexistent"),
        (["render", "-b", "nginx", "-f", "/dev/null"], 0, ""),
        (["render", "-b", "nginx", "-f", "x", "-n", "a", "-A"], 2, "exclude each other"),
        (["render", "-b", "nginx", "-f", "x", "-o", "a", "--check", "b"], 2, "exclude each other"),
        (["render", "-b", "nginx", "-f", "x", "--http-port", "443"], 2, "both 443"),
        (["render", "-b", "nginx", "-f", "x", "--bind", "localhost"], 2, "--bind: expected an IP address"),
        (["render", "-b", "nginx", "-f", "x", "--configmap", "name"], 2, "--configmap: expected NAMESPACE/NAME"),
        (["render", "-b", "nginx", "-f", "x", "--proxy-pid-file", "x"], 2, "is for --proxy external"),
        (["validate", "-b", "nginx", "/nonexistent"], 2, "does not exist"),
        (["validate", "-b", "nginx", "/proc/self/ns"], 3, ""),
        (["run", "-b", "nginx", "-f", "-"], 2, "stdin cannot be watched"),
        (["run", "-b", "nginx", "-f", "x", "--context", "y"], 2, "give either"),
        (["run", "-b", "nginx", "-f", "x", "--enable-ssl-passthrough"], 2, "No such option"),
        (["completion", "tcsh"], 2, "'tcsh' is not one of"),
        ([], 2, "Commands:"),
    ],
)  # fmt: skip
def test_faults_have_their_status_and_one_clear_line(arguments: list[str], status: int, words: str) -> None:
    done = gen(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not arguments or status == 0 or len(done.stderr.splitlines()) == 1


def test_traceback_only_for_who_debugs() -> None:
    done = gen("render", "-b", "nginx", "-f", "/nonexistent", "--log-level", "debug")
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def test_proxy_that_is_not_there_is_a_matter_of_usage(tmp_path: Path) -> None:
    gen("render", "-b", "nginx", "-f", SHOP, "-o", tmp_path)
    done = gen("validate", "-b", "nginx", "--proxy-binary", "/nonexistent/nginx", tmp_path)
    assert done.returncode == 2
    assert "/nonexistent/nginx" in done.stderr


def test_version_tells_of_gen_and_of_the_proxies() -> None:
    lines = gen("version").stdout.splitlines()
    assert lines[0].startswith("gen 0.")
    assert [line.split()[0] for line in lines[1:]] == ["nginx", "haproxy", "envoy"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_for_the_command(shell: str) -> None:
    script = gen("completion", shell).stdout
    assert "_GEN_COMPLETE" in script


def test_completion_knows_commands_and_flags() -> None:
    env = {"_GEN_COMPLETE": "bash_complete", "COMP_WORDS": "gen ren", "COMP_CWORD": "1"}
    assert gen(env=env).stdout == "plain,render\n"
    env = {"_GEN_COMPLETE": "bash_complete", "COMP_WORDS": "gen render --profile ", "COMP_CWORD": "3"}
    assert gen(env=env).stdout.splitlines() == ["plain,spec", "plain,ingress-nginx"]


def test_reader_that_goes_away_is_no_matter() -> None:
    process = subprocess.Popen(
        [GEN, "render", "-b", "nginx", "-f", str(SHOP)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    complaints = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(30) == 141
    assert "Traceback" not in complaints
    assert "roken pipe" not in complaints


def test_dash_m_is_the_same() -> None:
    done = subprocess.run([sys.executable, "-m", "gen", "version"], capture_output=True, text=True, check=True)
    assert done.stdout == gen("version").stdout


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    fifo = tmp_path / "slow.yaml"
    os.mkfifo(fifo)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [GEN, "check", "-f", str(fifo)], stdout=subprocess.DEVNULL, stderr=slave, env={**os.environ, "NO_COLOR": "1"}
    )
    os.close(slave)
    shown = os.read(master, 1000)
    assert shown == b"gen: reading manifests ..."
    fifo.write_text(WARNED)
    assert process.wait(30) == 0
    shown = os.read(master, 1000)
    os.close(master)
    assert shown.startswith(b"\r\x1b[K")
