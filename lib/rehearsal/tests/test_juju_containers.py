"""Workload containers: Pebble answers from pebble-ready on, and remembers as long as the pod lives."""

from __future__ import annotations

from juju_model import Juju

LAYER = {"services": {"web": {"override": "replace", "command": "serve", "startup": "enabled"}}}
ASK = """
c = self.unit.get_container("work")
tell([name, c.can_connect()])
"""
WORK = f"""
c = self.unit.get_container("work")
if name == "work-pebble-ready":
  c.add_layer("one", {LAYER!r}); c.replan(); c.push("/etc/web/conf", "a", make_dirs=True)
if name == "config-changed" and c.can_connect():
  tell([list(c.get_plan().services), c.get_service("web").is_running(), c.exists("/etc/web/conf")])
  if self.config["size"] == 9: c.stop("web"); c.push("/etc/web/conf", "b")
if name == "say": tell([c.get_service("web").is_running(), c.pull("/etc/web/conf").read()])
"""


def test_pebble_answers_from_pebble_ready_on(juju: Juju) -> None:
    juju.deploy("a", config={"script": ASK})
    juju.settle()
    told = dict(juju.told("a/0"))
    assert told["install"] is told["config-changed"] is told["start"] is False
    assert told["work-pebble-ready"] is True
    juju.config("a", size=4)
    juju.settle()
    assert juju.told("a/0")[-1] == ["config-changed", True]


def test_plan_services_and_files_are_there_in_the_next_hook(juju: Juju) -> None:
    juju.deploy("a", config={"script": WORK})
    juju.settle()
    juju.config("a", size=9)
    juju.settle()
    assert juju.told("a/0") == [[["web"], True, True]]
    juju.run("a/0", "say")
    assert juju.told("a/0")[-1] == [False, "b"]


def test_a_new_pod_remembers_nothing(juju: Juju) -> None:
    application = juju.deploy("a", config={"script": WORK})
    juju.settle()
    assert juju.unit("a/0").workloads["work"]["layers"]
    juju.config("a", script=ASK + "tell(list(c.get_plan().services) if c.can_connect() else None)")
    juju.settle()
    with juju.engine.lock:
        juju.engine.refresh(juju.model, application, application.charm)
    juju.settle()
    assert juju.told("a/0")[-2:] == [["work-pebble-ready", True], []]


def test_what_a_failed_hook_did_in_a_container_stays(juju: Juju) -> None:
    juju.deploy("a", config={"script": WORK})
    juju.settle()
    stop = 'c = self.unit.get_container("work"); c.push("/x", "1"); c.stop("web")'
    juju.config("a", script=f'if name == "config-changed":\n  {stop}; raise ValueError')
    juju.fail_now("a/0")
    ask = 'c = self.unit.get_container("work"); tell([c.exists("/x"), c.get_service("web").is_running()])'
    juju.config("a", script=f'if name == "config-changed": {ask}')
    with juju.engine.lock:
        juju.engine.resolve(juju.model, juju.unit("a/0"), retry=True)
    juju.settle()
    assert juju.told("a/0")[-1] == [True, False]
