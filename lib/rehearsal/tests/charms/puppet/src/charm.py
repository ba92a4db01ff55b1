"""Does what the option `script` says in every event, and logs the event."""

import json
import logging
import os

import ops

logger = logging.getLogger(__name__)


class KubernetesChangedEvent(ops.EventBase):
    """What a watcher would dispatch."""


class Events(ops.CharmEvents):
    """Juju's events and one of the charm's own."""

    kubernetes_changed = ops.EventSource(KubernetesChangedEvent)


class Puppet(ops.CharmBase):
    """The charm."""

    on = Events()
    stored = ops.StoredState()

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.stored.set_default(count=0)
        for event in self.on.events().values():
            if not issubclass(event.event_type, ops.LifecycleEvent):
                framework.observe(event, self._run)

    def _run(self, event: ops.EventBase) -> None:
        name = os.environ["JUJU_DISPATCH_PATH"].partition("/")[2]
        if isinstance(event, ops.RelationEvent) and event.unit is not None:
            name += f" {event.unit.name}"
        logger.info("event %s", name)
        script = self.config["script"]
        exec(str(script), {"self": self, "event": event, "name": name, "ops": ops, "tell": tell, "os": os})


def tell(what: object) -> None:
    """Say something that a test reads."""
    logger.info("told %s", json.dumps(what))


if __name__ == "__main__":
    ops.main(Puppet)
