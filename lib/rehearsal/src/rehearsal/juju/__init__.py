"""A model of Juju: a server that keeps state, and the `juju` command that asks it."""
