"""The model's namespace in the cluster: what Juju itself makes there, and the pods that it sees."""
