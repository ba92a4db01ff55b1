"""A small web application, for tests of the juju command."""

import time

import ops


class Poked(ops.EventBase):
    """An event that nothing but juju-exec brings."""


class Events(ops.CharmEvents):
    """The charm's events."""

    poked = ops.EventSource(Poked)


class Web(ops.CharmBase):
    """Says what it is told to."""

    on = Events()  # type: ignore[assignment]

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        for event in (self.on.start, self.on.config_changed, self.on.upgrade_charm, self.on.update_status):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.db_relation_changed, self._reconcile)
        framework.observe(self.on.site_relation_joined, self._publish)
        framework.observe(self.on.poked, self._poked)
        framework.observe(self.on.greet_action, self._greet)
        framework.observe(self.on.give_up_action, self._give_up)
        framework.observe(self.on.crash_action, self._crash)
        framework.observe(self.on.wait_action, self._wait)

    def _reconcile(self, event: ops.EventBase) -> None:
        if self.config["greeting"] == "raise":
            raise RuntimeError("as told")
        self.unit.set_workload_version("2.1")
        self.unit.set_ports(8080, 8081, ops.Port("udp", 53))
        print("reconciled", self.config["greeting"])
        token = self.config.get("token")
        if token:
            content = self.model.get_secret(id=str(token)).get_content(refresh=True)
            self.unit.status = ops.ActiveStatus(f"token {content['value']}")
        elif self.config["greeting"] == "block":
            self.unit.status = ops.BlockedStatus("told to " + "block " * 40)
        else:
            self.unit.status = ops.ActiveStatus()

    def _publish(self, event: ops.RelationJoinedEvent) -> None:
        event.relation.data[self.unit]["url"] = "http://web"
        if self.unit.is_leader():
            event.relation.data[self.app]["title"] = "Web"

    def _poked(self, event: Poked) -> None:
        self.unit.status = ops.MaintenanceStatus("poked")

    def _greet(self, event: ops.ActionEvent) -> None:
        event.log("clearing my throat")
        style = event.params.get("style", {}).get("end", "!")
        event.set_results({"text": f"hello {event.params['name']}{style}" * event.params["times"]})

    def _give_up(self, event: ops.ActionEvent) -> None:
        event.fail("no wish to")

    def _wait(self, event: ops.ActionEvent) -> None:
        time.sleep(3)

    def _crash(self, event: ops.ActionEvent) -> None:
        raise RuntimeError("crashed")


if __name__ == "__main__":
    ops.main(Web)
