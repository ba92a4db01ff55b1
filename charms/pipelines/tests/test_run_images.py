"""Pods of runs pull the charm's images with the credentials of the resources, and of no others."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeflow_charm.cluster.executor import Cluster
from rehearsal.cluster import nodes

NODE_FILES = Path(nodes.__file__).with_name("nodes")
OFFLINE = {"object-store-keys": "shared"}
NAME = "kubeflow-pipelines-image-pull"
PULLED = [{"name": NAME}]
RUN = {name: (f"user-{name}", "p") for name in ("argoexec", "kfp-driver", "kfp-launcher")}
"""Resources that pods of runs have."""
MODEL = {
    name: (f"user-{name}", "p") for name in ("kfp-frontend", "kfp-visualization-server", "kfp-api-server")
}
"""Resources that run in the model only."""


@pytest.fixture
def rendered(pipelines: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the facts, and what the charm wants there to be, where these resources have credentials."""

    def rendered(
        credentials: dict[str, Any], node_file: str = "", **options: str
    ) -> tuple[Any, dict[str, Any]]:
        found = nodes.load(NODE_FILES / f"{node_file}.yaml") if node_file else []
        monkeypatch.setattr(Cluster, "nodes", lambda _: found)
        monkeypatch.setattr(type(pipelines), "credentials", credentials)
        given = OFFLINE | {key.replace("_", "-"): value for key, value in options.items()}
        context = pipelines.context()
        with context(context.on.action("list-images"), pipelines.state("mlops", given)) as manager:
            facts = manager.charm.gather()
            documents = manager.charm.manifests(facts)
        return facts, {f"{each['kind']}/{each['metadata']['name']}": each for each in documents}

    return rendered


def users(secret: dict[str, Any] | None) -> dict[str, str]:
    """Return the user by repository."""
    assert secret
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    return {place: entry["username"] for place, entry in auths.items()}


def run_defaults(documents: dict[str, Any]) -> dict[str, Any]:
    """Return what Argo adds to the spec of every Workflow."""
    data = documents["ConfigMap/workflow-controller-configmap"]["data"]
    return yaml.safe_load(data.get("workflowDefaults", "{}")).get("spec", {})


def secrets_of_argo(documents: dict[str, Any]) -> list[str]:
    """Return the Secrets that Argo's controller reads in every namespace."""
    rules = documents["ClusterRole/argo-cluster-role"]["rules"]
    return [name for rule in rules if "secrets" in rule["resources"] for name in rule["resourceNames"]]


@pytest.mark.parametrize("credentials", [{}, MODEL], ids=["none", "of the model"])
def test_without_credentials_of_what_runs_have_nothing_is_there(rendered, credentials):
    facts, documents = rendered(credentials)
    assert facts.run_pull_secret is None
    assert run_defaults(documents) == {}
    assert NAME not in secrets_of_argo(documents)


def test_pods_of_runs_pull_with_their_credentials_and_no_others(rendered):
    facts, documents = rendered(RUN | MODEL, "teams")
    assert users(facts.run_pull_secret) == {
        "quay.io/argoproj/argoexec": "user-argoexec",
        "ghcr.io/kubeflow/kfp-driver": "user-kfp-driver",
        "ghcr.io/kubeflow/kfp-launcher": "user-kfp-launcher",
    }
    defaults = run_defaults(documents)
    assert defaults["imagePullSecrets"] == PULLED
    assert {"affinity", "tolerations"} < defaults.keys()
    # Argo's controller reads it, to ask what a step without a command runs.
    assert NAME in secrets_of_argo(documents)


def test_an_image_that_an_option_chooses_takes_no_credentials_along(rendered):
    facts, _ = rendered(
        RUN, driver_image="r.example.com/driver:1", launcher_image="ghcr.io/kubeflow/kfp-launcher:9"
    )
    assert sorted(users(facts.run_pull_secret)) == [
        "ghcr.io/kubeflow/kfp-launcher",
        "quay.io/argoproj/argoexec",
    ]


def test_credentials_are_for_no_mirror(rendered):
    facts, documents = rendered(RUN, image_registry="mirror.example.com:5000")
    assert facts.run_pull_secret is None
    assert run_defaults(documents) == {}


@pytest.mark.parametrize("credentials", [{}, RUN], ids=["without", "with"])
def test_the_secret_is_for_every_profile(rendered, pipelines, credentials):
    rendered(credentials)
    context = pipelines.context()
    state = pipelines.state("mlops", OFFLINE, dispatcher=True)
    with context(context.on.action("list-images"), state) as manager:
        charm = manager.charm
        charm.publish(charm.gather())
        uri = charm.model.get_relation("secrets").data[charm.app]["kubernetes_manifests"]
        offered = json.loads(charm.model.get_secret(id=uri).peek_content()["manifests"])
    names = ["mlpipeline-minio-artifact", *([NAME] if credentials else [])]
    assert [each["metadata"] for each in offered] == [{"name": name} for name in names]
