"""The process beside a charm that asks Juju for a hook when something of the charm has changed."""
