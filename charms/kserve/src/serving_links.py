"""The links of the dashboard."""

from __future__ import annotations

from kubeflow_charm.relations import dashboard_links

LINKS = [
    dashboard_links.Link(
        text="KServe Endpoints", link="/kserve-endpoints/", location="menu", icon="kubeflow:models"
    ),
    dashboard_links.Link(
        text="KServe Documentation",
        link="https://www.kubeflow.org/docs/external-add-ons/kserve/",
        location="documentation",
        desc="Serve models",
    ),
]
"""The first is upstream's (kubeflow/manifests 26.03, applications/centraldashboard)."""
