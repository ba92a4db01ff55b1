import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rehearsal.guardian import Guardian
from rehearsal.patience import PATIENCE

# Starts an ordinary child, a child that ignores SIGTERM, and a process that detaches itself as a daemon does;
# each writes its number into the run folder.
FAMILY = textwrap.dedent("""
    import os, signal, sys, time
    folder = sys.argv[1]
    def tell(name):
        with open(os.path.join(folder, name), "w") as file:
            file.write(str(os.getpid()))
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        tell("detached.pid")
        time.sleep(60)
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        tell("stubborn.pid")
        time.sleep(60)
    tell("child.pid")
    time.sleep(60)
""")
REHEARSAL = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from rehearsal.guardian import Guardian
    folder, pids, family = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    folder.mkdir()
    with Guardian(folder) as guardian:
        guardian.spawn([sys.executable, "-c", family, pids], log=folder / "log")
        (Path(pids) / "guardian.pid").write_text(str(guardian.pid))
        time.sleep(float(sys.argv[4]))
""")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition, within: float = PATIENCE):
    deadline = time.monotonic() + within
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def family_of(folder: Path) -> dict[str, int]:
    """Wait until all have told their numbers."""
    names = ("child", "stubborn", "detached", "guardian")
    files = {name: folder / f"{name}.pid" for name in names}
    eventually(lambda: all(file.exists() and file.read_text() for file in files.values()))
    return {name: int(file.read_text()) for name, file in files.items()}


@pytest.fixture
def rehearsal(tmp_path):
    """A process with a guardian and a family, which ends by itself after some seconds."""
    started = []

    def start(seconds: float) -> subprocess.Popen:
        command = [sys.executable, "-c", REHEARSAL, tmp_path / "run", tmp_path, FAMILY, str(seconds)]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("end", ["exit", signal.SIGINT, signal.SIGKILL], ids=str)
def test_nothing_outlives_the_rehearsal_however_it_ends(rehearsal, tmp_path, end):
    process = rehearsal(1.0 if end == "exit" else 60.0)
    family = family_of(tmp_path)
    assert all(map(alive, family.values()))
    if end != "exit":
        process.send_signal(end)
    process.wait(PATIENCE)
    eventually(lambda: not any(map(alive, family.values())))
    eventually(lambda: not (tmp_path / "run").exists())


def test_a_killed_guardian_takes_all_with_it(tmp_path):
    with Guardian() as guardian:
        child = guardian.spawn([sys.executable, "-c", FAMILY, tmp_path], log=tmp_path / "log")
        (tmp_path / "guardian.pid").write_text(str(guardian.pid))
        family = family_of(tmp_path)
        os.kill(guardian.pid, signal.SIGKILL)
        eventually(lambda: not any(map(alive, family.values())))
        assert child.ended.wait(PATIENCE)


def test_the_end_of_a_process_is_known_with_its_status(tmp_path):
    with Guardian() as guardian:
        process = guardian.spawn(["sh", "-c", "echo said; exit 3"], log=tmp_path / "log")
        assert process.ended.wait(PATIENCE)
        assert process.returncode == 3
    assert (tmp_path / "log").read_text() == "said\n"


def test_a_process_gets_its_environment_and_folder(tmp_path):
    with Guardian() as guardian:
        process = guardian.spawn(
            ["/bin/sh", "-c", "echo $PLACE; pwd"], log=tmp_path / "log", env={"PLACE": "here"}, cwd=tmp_path
        )
        assert process.ended.wait(PATIENCE)
    assert (tmp_path / "log").read_text().split() == ["here", str(tmp_path)]


def test_output_is_appended(tmp_path):
    with Guardian() as guardian:
        for word in ("one", "two"):
            assert guardian.spawn(["echo", word], log=tmp_path / "log").ended.wait(PATIENCE)
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("command", "log", "said"),
    [
        ("/no/such/program", "log", "/no/such/program"),
        ("true", "no/such/folder/log", "no/such/folder/log"),
        ("nul\0", "log", "null byte"),
    ],
)
def test_what_cannot_be_started_says_why(tmp_path, command, log, said):
    with Guardian() as guardian:
        with pytest.raises(OSError, match=said):
            guardian.spawn([command], log=tmp_path / log)
        assert guardian.spawn(["true"], log=tmp_path / "log").ended.wait(PATIENCE)


def test_stop_kills_what_does_not_listen(tmp_path):
    ignore = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with Guardian() as guardian:
        process = guardian.spawn([sys.executable, "-c", ignore], log=tmp_path / "log")
        eventually(lambda: "deaf" in (tmp_path / "log").read_text())
        process.stop(0.2)
        assert process.returncode == -signal.SIGKILL
        process.stop(0.2)  # once more does nothing


def test_an_idle_guardian_uses_no_time():
    with Guardian() as guardian:
        time.sleep(0.5)
        before = ticks(guardian.pid)
        time.sleep(1.0)
        assert ticks(guardian.pid) == before


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_cgroups_go_with_those_below_them_when_the_rehearsal_is_killed(tmp_path):
    made = [tmp_path / "memory" / "ours", tmp_path / "cpu" / "ours"]
    for each in made:
        (each / "pods" / "one").mkdir(parents=True)
        (each / "node").mkdir()
    program = REHEARSAL.replace(
        "    guardian.spawn",
        "    guardian.keep_cgroups([folder.parent / each / 'ours' for each in ('memory', 'cpu', 'never')])\n"
        "    guardian.spawn",
    )
    command = [sys.executable, "-c", program, tmp_path / "run", tmp_path, FAMILY, "60"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        family_of(tmp_path)
        assert all((each / "pods" / "one").is_dir() for each in made)
        process.kill()
    eventually(lambda: not any(each.exists() for each in made), within=30)
    assert all(each.parent.is_dir() for each in made)


def test_a_cgroup_that_stays_busy_keeps_nothing_from_ending(tmp_path):
    busy, other = tmp_path / "busy", tmp_path / "other"
    for each in (busy, other):
        each.mkdir()
    (busy / "process").touch()
    run = tmp_path / "run"
    run.mkdir()
    with Guardian(run) as guardian:
        guardian.keep_cgroups([busy, other])
    assert (busy.exists(), other.exists(), run.exists()) == (True, False, False)
