"""The version of Juju that is modelled."""

JUJU_VERSION = "3.6.9"
