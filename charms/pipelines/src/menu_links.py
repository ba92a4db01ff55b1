"""The links of pipelines in the dashboard's menus.

The pages are those of kubeflow/manifests 26.03, applications/centraldashboard/upstream/base/configmap.yaml;
texts and icons in the menu are those of canonical/kfp-operators, charms/kfp-ui, so that existing order
options still work.
"""

from kubeflow_charm.relations.dashboard_links import Link

_PAGES = (
    ("Experiments (KFP)", "experiments", "done-all"),
    ("Pipelines", "pipelines", "kubeflow:pipeline-centered"),
    ("Runs", "runs", "maps:directions-run"),
    ("Recurring Runs", "recurringruns", "device:access-alarm"),
    ("Artifacts", "artifacts", "editor:bubble-chart"),
    ("Executions", "executions", "av:play-arrow"),
)

LINKS = [
    *(Link(text=text, link=f"/pipeline/#/{page}", location="menu", icon=icon) for text, page, icon in _PAGES),
    Link(text="Upload a Pipeline", link="/pipeline/#/pipelines", location="quick", desc="Kubeflow Pipelines"),
    Link(text="View Pipeline Runs", link="/pipeline/#/runs", location="quick", desc="Pipelines"),
    Link(
        text="Kubeflow Pipelines Documentation",
        link="https://www.kubeflow.org/docs/components/pipelines/",
        location="documentation",
        desc="Documentation for Kubeflow Pipelines",
    ),
]
