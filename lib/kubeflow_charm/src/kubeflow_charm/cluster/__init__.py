"""Converge the cluster on what a charm wants: ownership, comparing, writing, and what Kubernetes answers."""
