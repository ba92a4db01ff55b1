"""The processes of charms: what a hook finds around it, what it leaves running, and what ends when."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from juju_model import CHARMS, Juju, eventually

# Starts a process of its own session, as a watcher is, and tells its number.
STARTING = """
import subprocess, sys
if name == "start":
  p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
  p.returncode = 0
  tell(p.pid)
"""

LOOKING = """
import pathlib, tempfile
if name == "start":
  e, here = os.environ, pathlib.Path.cwd()
  own = ("JUJU_CONTEXT_ID", "JUJU_CHARM_DIR", "JUJU_MODEL_UUID")
  tell({
    "here": here == pathlib.Path(e["JUJU_CHARM_DIR"]) == self.charm_dir == pathlib.Path(e["CHARM_DIR"]),
    "files": sorted(p.name for p in here.iterdir() if p.name[0] != "."),
    "source": (here / "src" / "charm.py").exists(),
    "tmp": str(pathlib.Path(tempfile.gettempdir()).relative_to(here.parent)),
    "juju": {k: v for k, v in e.items() if k.startswith("JUJU_") and k not in own},
    "proxy": "HTTPS_PROXY" in e,
    "kubeconfig": pathlib.Path(e["KUBECONFIG"]).name,
  })
"""


def lives(pid: int) -> bool:
    """Whether a process lives, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_a_hook_finds_around_it(juju: Juju, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("JUJU_MODEL", "another")
    juju.deploy("a", config={"script": LOOKING})
    juju.settle()
    (told,) = juju.told("a/0")
    assert told == {
        "here": True,
        "files": ["actions.yaml", "config.yaml", "dispatch", "metadata.yaml", "src"],
        "source": True,
        "tmp": "tmp",
        "juju": {
            "JUJU_AVAILABILITY_ZONE": "",
            "JUJU_DISPATCH_PATH": "hooks/start",
            "JUJU_HOOK_NAME": "start",
            "JUJU_MODEL_NAME": "test",
            "JUJU_PRINCIPAL_UNIT": "",
            "JUJU_UNIT_NAME": "a/0",
            "JUJU_VERSION": "3.6.9",
        },
        "proxy": False,
        "kubeconfig": "kubeconfig",
    }
    # Nothing was written into the source.
    assert sorted(p.name for p in (CHARMS / "puppet").iterdir() if p.name[0] != ".") == [
        "charmcraft.yaml",
        "src",
    ]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            "web-relation-departed a/0",
            {"JUJU_REMOTE_APP": "a", "JUJU_REMOTE_UNIT": "a/0", "JUJU_DEPARTING_UNIT": "a/0"},
        ),
        ("web-relation-broken", {"JUJU_REMOTE_APP": "a", "JUJU_REMOTE_UNIT": "", "JUJU_DEPARTING_UNIT": ""}),
        (
            "web-relation-changed",
            {"JUJU_REMOTE_APP": "a", "JUJU_REMOTE_UNIT": "", "JUJU_DEPARTING_UNIT": ""},
        ),
    ],
)
def test_what_juju_says_of_a_relation_event(juju: Juju, step: str, expected: dict[str, str]) -> None:
    script = f"if name == {step!r}: tell({{k: os.environ.get(k) for k in {sorted(expected)!r}}})"
    juju.deploy(
        "a", config={"script": "if name == 'say': self.model.get_relation('db').data[self.app]['k'] = 'v'"}
    )
    juju.deploy("b", config={"script": script})
    number = juju.integrate("a:db", "b:web")
    juju.settle()
    juju.run("a/0", "say")
    juju.settle()
    with juju.engine.lock:
        juju.engine.remove_relation(juju.model.relations[number])
    juju.settle()
    assert juju.told("b/0") == [expected]


def test_nothing_but_what_juju_keeps_passes_from_hook_to_hook(juju: Juju) -> None:
    script = (
        "import sys\n"
        "tell([getattr(sys, 'kept', None), os.environ.get('KEPT'), self.stored.count, os.getpid()])\n"
        "sys.kept = os.environ['KEPT'] = name; self.stored.count += 1"
    )
    juju.deploy("a", config={"script": script})
    juju.settle()
    told = juju.told("a/0")
    assert [said[:3] for said in told] == [[None, None, number] for number in range(len(told))]
    assert len({said[3] for said in told}) == len(told)


def test_deferred_events_come_again_before_the_next(juju: Juju) -> None:
    script = "if name == 'start': event.defer()\ntell(type(event).__name__)"
    juju.deploy("a", config={"script": script})
    juju.settle()
    assert juju.told("a/0")[-3:] == ["StartEvent", "StartEvent", "PebbleReadyEvent"]


def test_what_a_hook_leaves_running_ends_with_its_unit_only(juju: Juju) -> None:
    juju.deploy("a", scale=2, config={"script": STARTING})
    juju.settle()
    (first,), (second,) = juju.told("a/0"), juju.told("a/1")
    juju.config("a", size=9)
    juju.settle()
    assert lives(first) and lives(second)
    juju.scale("a", 1)
    juju.settle()
    eventually(lambda: not lives(second))
    assert lives(first)
    juju.remove("a")
    juju.settle()
    eventually(lambda: not lives(first))


def test_what_a_hook_leaves_running_ends_with_a_refresh(juju: Juju) -> None:
    application = juju.deploy("a", config={"script": STARTING})
    juju.settle()
    (before,) = juju.told("a/0")
    with juju.engine.lock:
        juju.engine.refresh(juju.model, application, application.charm)
    juju.settle()
    eventually(lambda: not lives(before))
    assert lives(juju.told("a/0")[-1])


def test_everything_ends_with_the_engine(juju: Juju) -> None:
    juju.deploy("a", config={"script": STARTING + "\ntell(os.getppid())"})
    juju.settle()
    pids = set(juju.told("a/0"))
    assert all(map(lives, pids))
    juju.engine.stop()
    assert not any(map(lives, pids))


def test_a_pod_that_is_killed_fails_its_hook_and_the_next_try_has_a_new_one(juju: Juju) -> None:
    juju.deploy(
        "a",
        config={"script": "import time\nif name == 'config-changed': time.sleep(self.config['size'] - 3)"},
    )
    juju.settle()
    hooks: list[int] = []

    def kill_pod(pid: int) -> None:
        hooks.append(pid)
        os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)

    host = juju.engine.host(juju.model, juju.unit("a/0"))
    host.on_pid = kill_pod
    juju.config("a", size=23)
    juju.fail_now("a/0")
    assert juju.lines("a/0")[-1].message.endswith("failed: the unit's pod is gone")
    eventually(lambda: not lives(hooks[0]))
    host.on_pid = lambda _: None
    juju.config("a", size=3)
    with juju.engine.lock:
        juju.engine.resolve(juju.model, juju.unit("a/0"), retry=True)
    juju.settle()
    assert juju.ran("a/0")[-1] == "config-changed"


def test_a_worker_that_is_killed_is_started_again_for_the_next_unit(juju: Juju) -> None:
    script = (
        "import pathlib\nstat = pathlib.Path(f'/proc/{os.getppid()}/stat').read_text()\n"
        "if name == 'start': tell(int(stat.split()[3]))"
    )
    juju.deploy("a", config={"script": script})
    juju.settle()
    (worker,) = juju.told("a/0")
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: not lives(worker))
    juju.scale("a", 2)
    juju.config("a", size=9)
    juju.settle()
    assert "start" in juju.ran("a/1")
    assert juju.ran("a/0")[-1] in ("config-changed", "cluster-relation-changed")


def test_units_run_at_once_and_each_one_hook_at_a_time(juju: Juju) -> None:
    script = (
        "import time\n"
        "if name == 'config-changed':\n  a = time.monotonic(); time.sleep(0.4); tell([a, time.monotonic()])"
    )
    juju.deploy("a", scale=2, config={"script": script})
    juju.settle()
    juju.config("a", size=9)
    juju.settle()
    (begin, end), (other_begin, other_end) = juju.told("a/0")[-1], juju.told("a/1")[-1]
    assert begin < other_end and other_begin < end
    spans = juju.told("a/0")
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_hook_takes_milliseconds(juju: Juju) -> None:
    """A guard against what makes every hook slow; the figure itself is in tests/benchmarks."""
    juju.deploy("a")
    juju.settle()
    began = time.monotonic()
    for _ in range(10):
        juju.run("a/0", "say")
    took, began = time.monotonic() - began, time.monotonic()
    for _ in range(10):
        subprocess.run([sys.executable, "-c", "pass"], check=True)
    # Beside what the machine takes just now to start Python: a fixed limit would fail where others work.
    assert took < 20 * (time.monotonic() - began)


def test_a_process_that_has_many_files_open_still_runs_hooks(juju: Juju) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(1100):
            opened.enter_context(Path("/dev/null").open())
        juju.deploy("a")
        juju.settle()
        assert juju.unit("a/0").seen.started
