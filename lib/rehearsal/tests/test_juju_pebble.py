"""Pebble over its socket, as charms with their own dispatch reach it, and what is told of containers.

What is expected here is what canonical/pebble 1.22.2 answered to the same client.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ops
import pytest
from juju_model import Juju
from ops import pebble, testing
from scenario import state

from rehearsal.errors import RehearsalError
from rehearsal.juju.charm_process import backend, pebble_server
from rehearsal.juju.model import charms, workloads

LAYER: pebble.LayerDict = {
    "services": {
        "web": {"override": "replace", "command": "serve", "startup": "enabled", "environment": {"A": "b"}},
        "off": {"override": "replace", "command": "wait"},
    },
    "checks": {"up": {"override": "replace", "exec": {"command": "true"}}},
}
MORE: pebble.LayerDict = {"services": {"web": {"override": "merge", "environment": {"C": "d"}}}}
ANSWERS = [
    testing.Exec(("echo",), stdout="hello\n"),
    testing.Exec(("sh",), return_code=3, stdout="a\n", stderr="b\n"),
]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pebble.Client]:
    """A client of ops at the socket of a container, with a layer."""
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    context = testing.Context(ops.CharmBase, meta={"name": "app", "containers": {"work": {}}})
    given = testing.State(containers=[testing.Container("work", can_connect=True, execs=set(ANSWERS))])
    request: dict[str, Any] = {
        "hook": state._Event("start"),
        "task": None,
        "withheld": [],
        "relations": [],
        "storage": [],
        "kept": {},
        "containers": {"work": {"files": {"/etc/motd": "hello"}}},
        "model": {"uuid": "u"},
    }
    names = ("DISPATCH_PATH", "HOOK_NAME", "MODEL_NAME", "MODEL_UUID")
    environment = {f"JUJU_{name}": "" for name in names} | {
        "JUJU_UNIT_NAME": "app/0",
        "JUJU_VERSION": "3.6.0",
    }
    tools = backend.Backend(
        request, given, context, ops.JujuContext.from_environ(environment), io.StringIO(), print
    )
    played = tools.get_pebble("/charm/containers/work/pebble.socket")
    with pebble_server.serving({Path("socket"): played}):
        client = pebble.Client("socket")
        client.add_layer("one", LAYER)
        yield client


def services(client: pebble.Client) -> dict[str, str]:
    return {each.name: each.current.value for each in client.get_services()}  # type: ignore[union-attr]


def test_layers_make_a_plan(client: pebble.Client) -> None:
    assert client.get_system_info().version == "v1.22.2"
    client.add_layer("one", MORE, combine=True)
    assert client.get_plan().services["web"].environment == {"A": "b", "C": "d"}


def test_services_start_and_stop(client: pebble.Client) -> None:
    assert services(client) == {"off": "inactive", "web": "inactive"}
    client.replan_services()
    assert services(client) == {"off": "inactive", "web": "active"}
    client.stop_services(["web"])
    client.start_services(["off"])
    assert services(client) == {"off": "active", "web": "inactive"}
    change = client.restart_services(["web"])
    assert client.wait_change(change).status == "Done"
    assert [each.name for each in client.get_services(["web", "nobody"])] == ["web"]


def test_files_come_back_as_they_were(client: pebble.Client) -> None:
    content = b"\x00binary\r\n--x\r\n"
    client.push("/a/b", content, make_dirs=True, permissions=0o600)
    with client.pull("/a/b", encoding=None) as file:
        assert file.read() == content
    client.push("/a/big", io.BytesIO(b"x" * 3_000_000))
    with client.pull("/a/big", encoding=None) as file:
        assert len(file.read()) == 3_000_000
    listed = {each.path: (each.type, each.permissions) for each in client.list_files("/a")}
    assert listed["/a/b"] == (pebble.FileType.FILE, 0o600)
    assert [each.name for each in client.list_files("/a", pattern="z*")] == []
    [itself] = client.list_files("/a", itself=True)
    assert (itself.path, itself.type) == ("/a", pebble.FileType.DIRECTORY)
    client.make_dir("/x/y", make_parents=True)
    client.remove_path("/x", recursive=True)
    with pytest.raises(pebble.APIError, match="no such file or directory") as missing:
        client.list_files("/x")
    assert missing.value.code == 404


def test_the_images_files_are_there(client: pebble.Client) -> None:
    with client.pull("/etc/motd") as file:
        assert file.read() == "hello"


def test_commands_answer_as_told(client: pebble.Client) -> None:
    assert client.exec(["echo", "anything"]).wait_output() == ("hello\n", "")
    assert client.exec(["echo"], stdin="words").wait_output() == ("hello\n", "")
    with pytest.raises(pebble.ExecError) as failed:
        client.exec(["sh", "-c", "x"]).wait_output()
    assert (failed.value.exit_code, failed.value.stdout, failed.value.stderr) == (3, "a\n", "b\n")
    with pytest.raises(pebble.ExecError) as failed:
        client.exec(["sh"], combine_stderr=True).wait_output()
    assert failed.value.stdout == "a\nb\n"
    output = io.StringIO()
    client.exec(["echo"], stdout=output).wait()
    assert output.getvalue() == "hello\n"


def test_checks_and_notices(client: pebble.Client) -> None:
    client.replan_services()
    [check] = client.get_checks()
    assert (check.name, check.status, check.threshold) == ("up", pebble.CheckStatus.UP, 3)
    assert client.stop_checks(["up"]) == ["up"]
    assert client.start_checks(["up"]) == ["up"]
    number = client.notify(pebble.NoticeType.CUSTOM, "example.com/a", data={"k": "v"})
    assert client.get_notice(number).last_data == {"k": "v"}
    assert [each.key for each in client.get_notices(keys=["example.com/a"])] == ["example.com/a"]
    assert client.get_notices(keys=["example.com/b"]) == []


REFUSED: dict[str, tuple[Callable[[pebble.Client], Any], type[Exception], str]] = {
    "a layer again": (lambda c: c.add_layer("one", LAYER), pebble.APIError, 'layer "one" already exists'),
    "a service without override": (
        lambda c: c.add_layer("two", {"services": {"x": {"command": "y"}}}),
        pebble.APIError,
        'layer "two" must define "override" for service "x"',
    ),
    "an unknown service": (
        lambda c: c.start_services(["nobody"]),
        pebble.APIError,
        'cannot start services: service "nobody" does not exist',
    ),
    "a signal to who does not run": (
        lambda c: c.send_signal("SIGHUP", ["web"]),
        pebble.APIError,
        'cannot send signal to "web": service is not running',
    ),
    "an unknown check": (
        lambda c: c.start_checks(["nobody"]),
        pebble.APIError,
        "cannot start checks: cannot find checks in plan: nobody",
    ),
    "an unknown notice": (lambda c: c.get_notice("99"), pebble.APIError, 'cannot find notice with ID "99"'),
    "an unknown change": (
        lambda c: c.get_change(pebble.ChangeID("99")),
        pebble.APIError,
        'cannot find change with id "99"',
    ),
    "a program that is not there": (
        lambda c: c.exec(["nothing"]),
        pebble.APIError,
        'cannot find executable "nothing"',
    ),
    "a folder that is not there": (lambda c: c.push("/no/file", "x"), pebble.PathError, "not-found"),
    "a relative path": (lambda c: c.push("a/b", "x"), pebble.PathError, "paths must be absolute"),
    "a file that is not there": (
        lambda c: c.pull("/none"),
        pebble.PathError,
        "stat /none: no such file or directory",
    ),
    "to remove what is not there": (
        lambda c: c.remove_path("/none"),
        pebble.PathError,
        "remove /none: no such file or directory",
    ),
    "what it does not have": (lambda c: c.get_warnings(), pebble.APIError, "invalid API endpoint requested"),
}


@pytest.mark.parametrize(("act", "kind", "message"), REFUSED.values(), ids=REFUSED)
def test_what_pebble_refuses_is_refused(client: pebble.Client, act, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        act(client)


CHARM = """
import ops


class Web(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        for event in (self.on.install, self.on.work_pebble_ready, self.on.update_status):
            framework.observe(event, self._tell)

    def _tell(self, event):
        work = self.unit.get_container("work")
        if not work.can_connect():
            self.unit.status = ops.WaitingStatus("no Pebble")
            return
        if "one" not in work.get_plan().services:
            work.add_layer("one", {"services": {"one": {"override": "replace", "command": "x",
                                                        "startup": "enabled"}}}, combine=True)
            work.replan()
            work.push("/etc/web/conf", "first", make_dirs=True)
        said, _ = work.exec(["version", "--short"]).wait_output()
        running = work.get_service("one").is_running()
        self.unit.status = ops.ActiveStatus(f"{said} {running} {work.pull('/etc/web/conf').read()}")


ops.main(Web)
"""


@pytest.fixture
def web(tmp_path: Path) -> charms.Charm:
    """A charm in Python with a version of ops of its own, and a container."""
    folder = tmp_path / "web"
    (folder / "src").mkdir(parents=True)
    (folder / "metadata.yaml").write_text("name: web\nsummary: s\ndescription: d\ncontainers: {work: {}}\n")
    (folder / "requirements.txt").write_text("ops==2.23.1\n")
    (folder / "src" / "charm.py").write_text(CHARM)
    charm, _ = charms.find(str(folder), Path("/"))
    assert charm.dispatched
    return charm


def deploy(juju: Juju, charm: charms.Charm, told: str) -> None:
    """Deploy a charm with what a file tells of its container."""
    file = charm.path / "told.yaml"
    file.write_text(told)
    juju.engine.workloads = workloads.read(file)
    with juju.engine.lock:
        juju.engine.add_application(juju.model, "web", charm)
    juju.settle()


def test_a_charm_with_its_own_ops_finds_pebble_and_what_it_remembers(juju: Juju, web: charms.Charm) -> None:
    deploy(juju, web, "web: {work: {exec: [{command: [version], stdout: '1.0'}]}}")
    unit = juju.unit("web/0")
    assert unit.workload.message == "1.0 True first", juju.describe()
    assert juju.ran("web/0").index("work-pebble-ready") > juju.ran("web/0").index("start")
    assert unit.workloads["work"]["services"] == {"one": "active"}
    with juju.engine.lock:
        unit.workload.set("active", "")
        unit.seen.update_status_due = 0.0
        juju.engine.poke()
    juju.until(lambda: "update-status" in juju.ran("web/0"))
    assert unit.workload.message == "1.0 True first"


def test_pebble_may_be_ready_before_start(juju: Juju, web: charms.Charm) -> None:
    deploy(juju, web, "web: {work: {ready: install, exec: [{command: [], stdout: x}]}}")
    ran = juju.ran("web/0")
    assert ran.index("work-pebble-ready") < ran.index("config-changed")
    assert juju.unit("web/0").workload.current == "active"


def test_a_command_of_which_nothing_is_told_fails(juju: Juju, web: charms.Charm) -> None:
    with juju.engine.lock:
        juju.engine.add_application(juju.model, "web", web)
    juju.fail_now("web/0")
    log = "\n".join(line.message for line in juju.lines("web/0"))
    assert 'cannot find executable "version"' in log
    assert "--workloads FILE" in log


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("web: {work: {ready: soon}}", "web.work.ready: Input should be 'install' or 'start'"),
        ("web: {work: {exec: [{stdout: x}]}}", "web.work.exec.0.command: Field required"),
        ("web: {work: {files: [x]}}", "web.work.files: Input should be a valid dictionary"),
        ("web: {work: {execs: []}}", "web.work.execs: Extra inputs are not permitted"),
        ("- web", ": Input should be a valid dictionary"),
        ("web: {", "is no YAML: "),
    ],
)
def test_a_file_that_tells_nothing_of_the_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "told.yaml"
    file.write_text(text)
    with pytest.raises(RehearsalError) as refusal:
        workloads.read(file)
    assert f"--workloads: {file}" in str(refusal.value)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RehearsalError, match=os.strerror(2)):
        workloads.read(tmp_path / "none.yaml")
