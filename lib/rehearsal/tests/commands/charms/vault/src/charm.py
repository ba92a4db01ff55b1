"""Keeps something, for tests of the juju command."""

import ops


class Vault(ops.CharmBase):
    """Says where it keeps it."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        framework.observe(self.on.data_storage_attached, self._attached)

    def _attached(self, event: ops.StorageAttachedEvent) -> None:
        self.unit.status = ops.ActiveStatus(f"keeps it in {event.storage.full_id}")


if __name__ == "__main__":
    ops.main(Vault)
