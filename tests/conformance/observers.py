"""What observes in reality: Prometheus with promtool, Alertmanager, and a server of Loki's push API.

Each is compiled once of its Go module. VictoriaLogs stands where Loki would: it takes what Loki takes, and its
licence lets everybody build it in a test (Apache 2.0; Loki's is the AGPL).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from conformance.servers import free_port, running

from rehearsal.cluster import build
from rehearsal.guardian import Guardian
from rehearsal.patience import until

_WAYS_OUT = "leave out the tests of alerts and metrics"


def _program(
    name: str, title: str, module: str, package: str, packages: int, tags: str = ""
) -> build.Program:
    source = Path(__file__).with_name(module)
    return build.Program(name, title, source, package, packages, "-s -w", _WAYS_OUT, tags)


# Without the plugins that discover machines of clouds, which are most of it.
PROMETHEUS = _program(
    "prometheus",
    "Prometheus",
    "prometheus",
    "github.com/prometheus/prometheus/cmd/prometheus",
    1500,
    "remove_all_sd",
)
PROMTOOL = _program(
    "promtool",
    "promtool",
    "prometheus",
    "github.com/prometheus/prometheus/cmd/promtool",
    1500,
    "remove_all_sd",
)
ALERTMANAGER = _program(
    "alertmanager", "Alertmanager", "alertmanager", "github.com/prometheus/alertmanager/cmd/alertmanager", 700
)
VICTORIA_LOGS = _program(
    "victoria-logs",
    "VictoriaLogs",
    "victoria-logs",
    "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs",
    300,
)


class Promtool:
    """promtool, which checks rules and tries them on series.

    Args:
        program: its path.
    """

    def __init__(self, program: Path):
        self._program = program

    def check(self, rules: Path) -> str:
        """Return what is wrong with a file of rules; nothing if all is well."""
        return self._run("check", "rules", "--lint=all", "--lint-fatal", rules)

    def test(self, tests: Path) -> str:
        """Return what a file of tests finds; nothing if all is as it says."""
        return self._run("test", "rules", tests)

    def _run(self, *words: object) -> str:
        done = subprocess.run([self._program, *map(str, words)], capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr) if done.returncode else ""


@contextlib.contextmanager
def prometheus(
    guardian: Guardian, folder: Path, program: Path, configuration: Mapping[str, Any]
) -> Iterator[str]:
    """Run a Prometheus with a configuration; yield its address."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(dict(configuration)))
    address = f"127.0.0.1:{free_port()}"
    command = [str(program), f"--config.file={folder / 'prometheus.yaml'}", f"--web.listen-address={address}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    with running(guardian, command, int(address.rpartition(":")[2]), folder / "log", os.environ, 30):
        until(lambda: _is_ready(f"http://{address}/-/ready"), within=30)
        yield address


def _is_ready(url: str) -> bool:
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=10):
        return True
    return False


@contextlib.contextmanager
def alertmanager(guardian: Guardian, folder: Path, program: Path) -> Iterator[str]:
    """Run an Alertmanager that notifies nobody; yield its address."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yaml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(program),
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--web.listen-address={address}",
    ]
    command += [f"--storage.path={folder / 'data'}", "--cluster.listen-address="]
    with running(guardian, command, int(address.rpartition(":")[2]), folder / "log", os.environ, 30):
        yield address


@contextlib.contextmanager
def victoria_logs(guardian: Guardian, folder: Path, program: Path) -> Iterator[str]:
    """Run a VictoriaLogs; yield its address. `/insert/loki/api/v1/push` is Loki's push API."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    command = [str(program), f"-storageDataPath={folder / 'data'}", f"-httpListenAddr={address}"]
    with running(guardian, command, int(address.rpartition(":")[2]), folder / "log", os.environ, 30):
        yield address


def asked(address: str, path: str, **query: str) -> Any:
    """Return a server's answer as JSON."""
    url = f"http://{address}{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def compiled(programs: list[build.Program], on_progress: Callable[[str], None]) -> dict[str, Path]:
    """Return the programs by name, compiled once."""
    return {each.name: build.built(each, on_progress) for each in programs}
