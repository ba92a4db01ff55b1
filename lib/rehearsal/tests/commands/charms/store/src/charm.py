"""A small database, for tests of the juju command."""

import ops


class Store(ops.CharmBase):
    """Gives whoever asks a password."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._start)
        framework.observe(self.on.db_relation_joined, self._share)

    def _start(self, event: ops.StartEvent) -> None:
        self.unit.status = ops.ActiveStatus("open")
        if self.unit.is_leader():
            self.app.status = ops.ActiveStatus("all open")

    def _share(self, event: ops.RelationJoinedEvent) -> None:
        if self.unit.is_leader():
            secret = self.app.add_secret({"password": "sesame"}, label="login", description="to log in")
            secret.grant(event.relation)
            event.relation.data[self.app]["secret"] = secret.id or ""


if __name__ == "__main__":
    ops.main(Store)
