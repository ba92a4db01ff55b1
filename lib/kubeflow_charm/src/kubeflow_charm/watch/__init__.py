"""The process beside a charm that asks Juju for a hook when an object of the charm changes."""
