"""The relation interfaces: one module each, with both sides.

`Requires` and `Provides` are the roles of an endpoint in `charmcraft.yaml`. The side that reads has `get()`,
and `find()` for an optional endpoint. The side that writes has `send()`. They observe no events: the charm's
loop calls them in every hook. They check all data of others; wrong data is a `Problem` that names the remote
application.
"""
