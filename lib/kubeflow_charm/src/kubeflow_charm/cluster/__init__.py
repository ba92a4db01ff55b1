"""Converge the cluster: plan, ownership, comparing, writing, and the translation of errors."""
