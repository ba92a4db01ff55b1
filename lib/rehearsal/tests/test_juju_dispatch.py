"""Charms whose own dispatch runs their hooks, with the hook tools as programs: here one in plain shell."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from juju_model import CHARMS, Juju

from rehearsal.juju.charm_process import host
from rehearsal.juju.model import charms, environments
from rehearsal.juju.model.errors import JujuError

SHELL = CHARMS / "shell"


def deploy(juju: Juju, name: str, script: str = "", **options: object) -> None:
    """Deploy the charm in shell."""
    with juju.engine.lock:
        charm, _ = charms.find(str(SHELL), Path("/"))
        assert charm.dispatched
        juju.engine.add_application(juju.model, name, charm, config={"script": script}, **options)  # type: ignore[arg-type]


def said(juju: Juju, unit: str) -> list[str]:
    """Return what a unit's script has said by `juju-log`, besides its events."""
    return [
        line.message
        for line in juju.lines(unit)
        if line.module.endswith(".juju-log") and not line.message.startswith("event ")
    ]


def test_hooks_come_in_jujus_order(juju: Juju) -> None:
    deploy(juju, "a")
    juju.settle()
    assert juju.events("a/0") == [
        "install",
        "cluster-relation-created",
        "leader-elected",
        "config-changed",
        "start",
    ]


def test_the_environment_is_that_of_a_hook(juju: Juju, tmp_path: Path) -> None:
    deploy(juju, "a", f'[ "$name" = start ] && env > {tmp_path}/env; pwd > {tmp_path}/folder')
    juju.settle()
    found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert found["JUJU_UNIT_NAME"] == "a/0"
    assert (found["JUJU_MODEL_NAME"], found["JUJU_HOOK_NAME"]) == (juju.model.name, "start")
    folder = (tmp_path / "folder").read_text().strip()
    assert found["JUJU_CHARM_DIR"] == found["CHARM_DIR"] == folder
    assert (Path(folder) / "dispatch").exists()


def test_two_applications_speak_with_each_other(juju: Juju) -> None:
    writing = """
      case $name in
      db-relation-created) relation-set --app name=ada; relation-set host=here empty=;;
      web-relation-changed)
        juju-log "$JUJU_REMOTE_UNIT|$(relation-ids web)|$(relation-list)|$(relation-list --app)"
        juju-log "$(relation-get -r "$JUJU_RELATION_ID" --app - "$JUJU_REMOTE_APP" --format=json)"
        juju-log "$(relation-get host a/0)"
      esac"""
    deploy(juju, "a", writing)
    deploy(juju, "b", writing)
    number = juju.integrate("a:db", "b:web")
    juju.settle()
    lines = said(juju, "b/0")
    assert f"a/0|web:{number}|a/0|a" in lines
    assert '{"name":"ada"}' in lines
    assert "here" in lines


def test_statuses_ports_and_version_reach_the_model(juju: Juju) -> None:
    deploy(
        juju,
        "a",
        "status-set active -- fine; status-set --application=true active all; application-version-set 1.2; "
        'open-port 8080/tcp; open-port 53/udp; close-port 53/udp; juju-log -l WARNING "$(opened-ports) $(status-get)"',
    )
    juju.settle()
    unit, application = juju.unit("a/0"), juju.model.applications["a"]
    assert (unit.workload.current, unit.workload.message) == ("active", "fine")
    assert application.status.message == "all"
    assert (unit.workload_version, unit.ports) == ("1.2", ["8080/tcp"])
    assert said(juju, "a/0")[-1] == "8080/tcp active"


def test_secrets_are_added_granted_read_and_removed(juju: Juju) -> None:
    owner = """
      case $name in
      db-relation-created)
        id=$(secret-add --label mine --description d user=ada "pass#file=$(pwd)/metadata.yaml")
        secret-grant "$id" -r "$JUJU_RELATION_ID"; relation-set --app secret="$id";;
      config-changed)
        [ "$(config-get size)" = 4 ] && secret-set "$(secret-ids)" user=bob;
        juju-log "$(secret-info-get --label mine --format json)";;
      esac"""
    reader = """
      case $name in
      web-relation-changed) juju-log "$(secret-get "$(relation-get --app secret "$JUJU_REMOTE_APP")" user)";;
      secret-changed) juju-log "$(secret-get "$JUJU_SECRET_ID" --peek user) $(secret-get "$JUJU_SECRET_ID" --refresh user)";;
      esac"""
    deploy(juju, "a", owner)
    deploy(juju, "b", reader)
    juju.integrate("a:db", "b:web")
    juju.settle()
    assert "ada" in said(juju, "b/0")
    (secret,) = juju.model.secrets.values()
    assert secret.revisions[1]["pass"].startswith("name: shell")
    juju.config("a", size=4)
    juju.settle()
    assert "bob bob" in said(juju, "b/0")
    (info,) = json.loads(said(juju, "a/0")[-1]).values()
    assert (info["revision"], info["label"]) == (2, "mine")


def test_an_action_gets_sets_logs_fails_and_prints(juju: Juju) -> None:
    deploy(
        juju,
        "a",
        'if [ "$name" = say ]; then action-log "on it"; echo out; action-set said="$(action-get words)" '
        'a.b="$(action-get deep.inner)"; [ "$(action-get words)" = no ] && action-fail "rather not"; fi; true',
    )
    juju.settle()
    task = juju.run("a/0", "say", words="yes", deep={"inner": 7})
    assert (task.status, task.results) == ("completed", {"said": "yes", "a": {"b": "7"}, "stdout": "out\n"})
    assert [line for _, line in task.log] == ["on it"]
    task = juju.run("a/0", "say", words="no")
    assert (task.status, task.message) == ("failed", "rather not")


def test_what_a_unit_keeps_with_juju_is_there_in_the_next_hook(juju: Juju) -> None:
    deploy(
        juju,
        "a",
        '[ $name = install ] && state-set k=v other=x; [ $name = start ] && juju-log "$(state-get k)"; true',
    )
    juju.settle()
    assert said(juju, "a/0")[-1] == "v"
    assert juju.unit("a/0").kept == {"k": "v", "other": "x"}


def test_resources_leadership_network_and_goal_are_told(juju: Juju, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("hello")
    script = (
        '[ $name = start ] && juju-log "$(cat "$(resource-get page)") $(is-leader) $(network-get db --ingress-address) '
        '$(goal-state --format=json | cut -c1-16)"; true'
    )
    deploy(juju, "a", script, resources={"page": str(tmp_path / "page.txt")})
    juju.settle()
    assert said(juju, "a/0")[-1] == f'hello True {juju.unit("a/0").address} {{"units":{{"a/0":'


FAILURES = {
    "a status": ("exit 3", "exit status 3"),
    "a tool that refuses": ("set -e; relation-get -r db:99 - b/0", "exit status 2"),
    "a tool that does not exist": ("set -e; no-such-tool", "exit status 127"),
    "killed": ("kill -9 $$", "signal: killed"),
}


@pytest.mark.parametrize(("script", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_hook_that_fails_is_an_error_and_leaves_nothing(juju: Juju, script: str, reason: str) -> None:
    deploy(juju, "a", f"[ $name = start ] && open-port 80/tcp && {{ {script}; }}; true")
    juju.fail_now("a/0")
    unit = juju.unit("a/0")
    assert unit.failed is not None
    assert unit.failed.name == "start"
    assert unit.ports == []
    assert any(reason in line.message for line in juju.lines("a/0"))


def test_what_a_tool_refuses_is_on_standard_error(juju: Juju) -> None:
    deploy(
        juju,
        "a",
        '[ $name = start ] && relation-ids --nope 2>/dev/null || juju-log "$? $(relation-ids --nope 2>&1)"',
    )
    juju.settle()
    assert "2 ERROR option provided but not defined: --nope" in said(juju, "a/0")


def test_a_charm_with_programs_for_some_hooks_only(juju: Juju, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    (folder / "hooks").mkdir(parents=True)
    (folder / "metadata.yaml").write_text("name: old\nsummary: s\ndescription: d\n")
    hook = folder / "hooks" / "start"
    hook.write_text("#!/bin/sh\njuju-log event start\nstatus-set active\n")
    hook.chmod(0o755)
    with juju.engine.lock:
        juju.engine.add_application(juju.model, "old", charms.find(str(folder), Path("/"))[0])
    juju.settle()
    assert juju.events("old/0") == ["start"]
    assert juju.unit("old/0").workload.current == "active"
    assert juju.ran("old/0")[:1] == ["install"]


def test_a_dispatch_that_nobody_may_run_is_an_error(juju: Juju, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "metadata.yaml").write_text("name: closed\nsummary: s\ndescription: d\n")
    (folder / "dispatch").write_text("#!/bin/sh\n")
    with juju.engine.lock:
        juju.engine.add_application(juju.model, "closed", charms.find(str(folder), Path("/"))[0])
    juju.fail_now("closed/0")
    assert "cannot run dispatch: Permission denied" in said(juju, "closed/0")


def packed(path: Path, **more: str) -> Path:
    """Write the charm in shell as a packed charm."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("metadata.yaml", "config.yaml", "actions.yaml", "dispatch"):
            archive.write(SHELL / name, name)
        for name, text in more.items():
            archive.writestr(name.replace("__", "/"), text)
    return path


def test_a_packed_charm_runs_by_itself(juju: Juju, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = packed(tmp_path / "shell_amd64.charm")
    charm, origin = charms.find(str(path), Path("/"))
    assert (charm.name, charm.dispatched, origin) == ("shell", True, "local")
    assert os.access(charm.path / "dispatch", os.X_OK)
    assert charms.find(str(path), Path("/"))[0].path == charm.path
    monkeypatch.undo()
    with juju.engine.lock:
        juju.engine.add_application(juju.model, "a", charm)
    juju.settle()
    assert "start" in juju.events("a/0")


@pytest.mark.parametrize("name", ["..__evil", "a__..__..__evil", "__evil"])
def test_a_packed_charm_that_would_write_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = packed(tmp_path / "shell_amd64.charm", **{name: "x"})
    with pytest.raises(JujuError, match="holds a path outside of it"):
        charms.find(str(path), Path("/"))
    assert not (tmp_path / "evil").exists()


def test_a_packed_charm_that_is_no_zip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x_amd64.charm").write_text("no zip")
    with pytest.raises(JujuError, match="is no zip file: File is not a zip file"):
        charms.find("./x_amd64.charm", tmp_path)


def python_charm(folder: Path, requirements: str, imports: str) -> Path:
    """Write a charm in Python that stands by itself."""
    (folder / "src").mkdir(parents=True)
    (folder / "metadata.yaml").write_text("name: alone\nsummary: s\ndescription: d\n")
    (folder / "requirements.txt").write_text(requirements)
    (folder / "src" / "charm.py").write_text(f"""\
import logging, os
import ops
import {imports}

MODEL = os.environ["JUJU_MODEL_NAME"]
HERE = open("metadata.yaml").read()


class Alone(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._start)

    def _start(self, event):
        logging.getLogger("alone").info("ops %s in %s", ops.version.version, MODEL)
        self.unit.status = ops.ActiveStatus("alone")


ops.main(Alone)
""")
    return folder


def test_a_charm_in_python_has_its_own_packages_and_version_of_ops(juju: Juju, tmp_path: Path) -> None:
    folder = python_charm(tmp_path / "alone", "ops==2.23.1\ntoml==0.10.2\n", "toml")
    with juju.engine.lock:
        charm, _ = charms.find(str(folder), Path("/"))
        juju.engine.add_application(juju.model, "alone", charm)
    juju.settle()
    assert juju.unit("alone/0").workload.message == "alone"
    assert f"ops 2.23.1 in {juju.model.name}" in said(juju, "alone/0")


def test_names_lead_to_the_played_stores_and_nowhere_else(juju: Juju, tmp_path: Path) -> None:
    folder = python_charm(tmp_path / "alone", "ops==2.23.1\n", "socket")
    file = folder / "src" / "charm.py"
    asked = "str(socket.getaddrinfo('minio.kubeflow', 9000)[0][4])"
    file.write_text(file.read_text().replace('ops.ActiveStatus("alone")', f"ops.ActiveStatus({asked})"))
    with juju.engine.lock:
        juju.engine.add_application(juju.model, "alone", charms.find(str(folder), Path("/"))[0])
    juju.settle()
    assert juju.unit("alone/0").workload.message == f"('127.0.0.1', {juju.engine.stores.port})"


def test_a_dependency_that_was_forgotten_is_missing(juju: Juju, tmp_path: Path) -> None:
    """The rehearsal itself has jubilant's tests and lightkube; a unit would not."""
    folder = python_charm(tmp_path / "alone", "ops==2.23.1\ntoml==0.10.2\n", "lightkube")
    with juju.engine.lock:
        juju.engine.add_application(juju.model, "alone", charms.find(str(folder), Path("/"))[0])
    juju.fail_now("alone/0")
    assert "ModuleNotFoundError: No module named 'lightkube'" in [
        each.message for each in juju.lines("alone/0")
    ]


def test_another_python_than_the_bases_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = python_charm(tmp_path / "alone", "ops==2.23.1\n", "os")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setattr(environments, "_PYTHONS", {"24.04": own})
    charm, _ = charms.find(str(folder), Path("/"))
    assert charm.python
    assert environments.stranger(charm.python, charm.release) == ""
    monkeypatch.setattr(environments, "_PYTHONS", {"24.04": "3.99"})
    charm, _ = charms.find(str(folder), Path("/"))
    assert charm.python
    expected = f"it runs on Python {own}, and on 3.99 on Ubuntu 24.04: no python3.99 is on PATH"
    assert environments.stranger(charm.python, charm.release) == expected


def test_requirements_that_nobody_has_are_told_in_one_sentence(tmp_path: Path) -> None:
    folder = python_charm(tmp_path / "alone", "no-such-package-at-all==9\n", "os")
    with pytest.raises(JujuError, match=r"what .*requirements.txt names could not be installed: ") as refusal:
        charms.find(str(folder), Path("/"))
    assert "\n" not in str(refusal.value)


def test_storage_is_told_of(juju: Juju, tmp_path: Path) -> None:
    folder = shutil.copytree(SHELL, tmp_path / "shell")
    text = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(f"{text}\nstorage: {{data: {{type: filesystem}}}}\n")
    script = """
case $name in
start) juju-log "none: $(storage-list)"; storage-get -s data/0 location || juju-log refused ;;
data-storage-attached)
  juju-log "$JUJU_STORAGE_ID $JUJU_STORAGE_KIND $(storage-list) $(storage-list logs) $(storage-get kind)"
  [ "$(storage-get location)" = "$JUJU_STORAGE_LOCATION" ] && touch "$JUJU_STORAGE_LOCATION/x" && juju-log same
  storage-get nothing || juju-log unknown
  storage-add data || juju-log fixed
  juju-log "help: $(storage-get --help | grep -- -s)" ;;
esac
"""
    with juju.engine.lock:
        charm, _ = charms.find(str(folder), Path("/"))
        juju.engine.add_application(juju.model, "a", charm, config={"script": script})
    juju.settle()
    assert said(juju, "a/0") == [
        "none: ",
        "refused",
        "data/0 filesystem data/0  filesystem",
        "same",
        "unknown",
        "fixed",
        "help: -s  (= data/0)",
    ]


def test_a_dispatch_that_does_not_end_is_killed_with_all_it_has_started(
    juju: Juju, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "HOOK_WITHIN", 3.0)
    sleep = f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; sleep 600"
    deploy(juju, "a", f'[ "$name" = start ] && {{ {sleep}; }}; true')
    juju.fail_now("a/0")
    log = [line.message for line in juju.lines("a/0")]
    assert any(line.endswith("failed: no end within 3 seconds") for line in log)
    started = [int((tmp_path / name).read_text()) for name in ("child", "self")]
    juju.until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in started if _runs(pid)))


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


BAD: dict[str, tuple[str, str]] = {
    "a syntax error": ("if then; fi", ""),
    "closed pipes": ("exec >&- 2>&-; echo x; true", "start"),
    "a child that outlives it": ("sleep 600 > /dev/null & true", "start"),
}


@pytest.mark.parametrize(("script", "last"), BAD.values(), ids=BAD)
def test_what_charms_do_badly_harms_nobody_else(juju: Juju, script: str, last: str) -> None:
    deploy(juju, "a", script)
    deploy(juju, "b")
    if last:
        juju.settle()
        assert juju.ran("a/0")[-1] == last
    else:
        juju.fail_now("a/0")
    juju.until(lambda: juju.ran("b/0")[-1:] == ["start"])


def test_a_flood_of_output_leaves_its_end(juju: Juju) -> None:
    flood = "yes 0123456789 | head -c 100000000; echo; echo last"
    deploy(juju, "a", f'[ "$name" = start ] && {{ {flood}; }}; true')
    juju.settle()
    printed = [line.message for line in juju.lines("a/0") if line.module.endswith(".start")]
    assert printed[-1] == "last"
    assert len(printed) < 500_000


@pytest.mark.parametrize(("megabytes", "fits"), [(10, True), (17, False)])
def test_relation_data_may_be_as_large_as_jujus_database_lets_it(
    juju: Juju, tmp_path: Path, megabytes: int, fits: bool
) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(f"large: {'x' * (megabytes << 20)}\n")
    deploy(juju, "a", f'[ "$name" = db-relation-created ] && relation-set --app --file {file}; true')
    deploy(juju, "b")
    juju.settle()
    number = juju.integrate("a:db", "b:web")
    if fits:
        juju.settle()
        assert len(juju.model.relations[number].application_data["a"].data["large"]) == megabytes << 20
    else:
        juju.fail_now("a/0")
        assert any("larger than 16777216" in line.message for line in juju.lines("a/0"))
