"""Kubeflow on one machine, without containers: real Kubernetes, real charms, a model of Juju."""
