"""The real node's name."""

NAME = "machine"
"""In the cluster; the names of played nodes are those of their file."""
