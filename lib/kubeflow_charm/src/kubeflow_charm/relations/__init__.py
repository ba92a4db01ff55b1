"""The relation interfaces, one module each, with both sides of it.

`Requires` and `Provides` are the roles that Juju gives an endpoint in `charmcraft.yaml`. The side that reads
has `get()`, and `find()` where the endpoint is optional; the side that writes has `send()`. They observe
nothing: the charm's one loop calls them on every hook. What others wrote is checked in full, and whatever is
wrong with it is a `Problem` that names the remote application.
"""
