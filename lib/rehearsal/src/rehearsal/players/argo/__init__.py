"""Argo: what a Workflow becomes, node by node and pod by pod."""
