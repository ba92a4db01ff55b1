"""What bundle.yaml says: nothing wrong, everything pinned and named, every relation of the platform."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from rehearsal.juju.bundle import check
from rehearsal.juju.model import charms
from rehearsal.juju.model.charms import EndpointSpec
from rehearsal.juju.model.errors import JujuError

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted(ROOT.glob("overlays/*.yaml"))
MODELS = sorted(ROOT.glob("models/*.yaml"))
COLLECTOR = "opentelemetry-collector-k8s"

# The relations of Charmed Kubeflow 1.11's bundle among the applications that ours has, but that our charms
# put their own routes on the gateway: gateway-info in the place of an ingress for each web app.
RELATIONS = {
    ("istio-ingressgateway:istio-pilot", "istio-pilot:istio-pilot"),
    ("oidc-gatekeeper:ingress-auth", "istio-pilot:ingress-auth"),
    ("oidc-gatekeeper:ingress", "istio-pilot:ingress"),
    ("dex-auth:ingress", "istio-pilot:ingress"),
    ("dex-auth:oidc-client", "oidc-gatekeeper:oidc-client"),
    ("oidc-gatekeeper:dex-oidc-config", "dex-auth:dex-oidc-config"),
    ("kubeflow-dashboard:gateway-info", "istio-pilot:gateway-info"),
    ("kubeflow-profiles:gateway-info", "istio-pilot:gateway-info"),
    ("kubeflow-notebooks:gateway-info", "istio-pilot:gateway-info"),
    ("kubeflow-notebooks:dashboard-links", "kubeflow-dashboard:links"),
    ("kubeflow-notebooks:pod-defaults", "resource-dispatcher:pod-defaults"),
    ("kubeflow-notebooks:secrets", "resource-dispatcher:secrets"),
    ("kubeflow-pipelines:gateway-info", "istio-pilot:gateway-info"),
    ("kubeflow-pipelines:relational-db", "kfp-db:database"),
    ("kubeflow-pipelines:object-storage", "minio:object-storage"),
    ("kubeflow-pipelines:dashboard-links", "kubeflow-dashboard:links"),
    ("kubeflow-pipelines:secrets", "resource-dispatcher:secrets"),
    ("kubeflow-pipelines:config-maps", "resource-dispatcher:config-maps"),
    ("kubeflow-pipelines:pod-defaults", "resource-dispatcher:pod-defaults"),
    ("kubeflow-training:dashboard-links", "kubeflow-dashboard:links"),
    ("kubeflow-training:secrets", "resource-dispatcher:secrets"),
    ("kubeflow-training:pod-defaults", "resource-dispatcher:pod-defaults"),
    ("katib:gateway-info", "istio-pilot:gateway-info"),
    ("katib:relational-db", "kfp-db:database"),
    ("katib:dashboard-links", "kubeflow-dashboard:links"),
    ("katib:secrets", "resource-dispatcher:secrets"),
    ("kserve:ingress-gateway", "istio-pilot:gateway-info"),
    ("kserve:local-gateway", "knative-serving:local-gateway"),
    ("kserve:object-storage", "minio:object-storage"),
    ("kserve:dashboard-links", "kubeflow-dashboard:links"),
    ("kserve:secrets", "resource-dispatcher:secrets"),
    ("kserve:service-accounts", "resource-dispatcher:service-accounts"),
    ("kserve:config-maps", "resource-dispatcher:config-maps"),
    ("kserve:pod-defaults", "resource-dispatcher:pod-defaults"),
    ("kubeflow-dashboard:kubeflow-profiles", "kubeflow-profiles:kubeflow-profiles"),
}


@pytest.fixture(scope="module")
def bundle() -> check.Bundle:
    """Our bundle, checked."""
    return check.read([ROOT / "bundle.yaml"], charms.find)


def offered(url: str) -> Mapping[str, EndpointSpec]:
    """Find an offer of the bundles of other models."""
    model, _, offer = url.removeprefix("admin/").partition(".")
    path = ROOT / "models" / f"{model}.yaml"
    there = check.read([path], charms.find) if path in MODELS else check.Bundle()
    for name, application in there.applications.items():
        if said := application.offers.get(offer):
            found = {each: there.charms[name].endpoints[each] for each in said.endpoints}
            return {each: dataclasses.replace(spec, optional=True) for each, spec in found.items()}
    raise JujuError(f'application offer "{url}" not found')


@pytest.mark.parametrize(
    "overlays",
    [some for count in range(len(OVERLAYS) + 1) for some in itertools.combinations(OVERLAYS, count)],
    ids=lambda paths: "+".join(path.stem for path in paths) or "alone",
)
def test_nothing_is_wrong_with_it(overlays: tuple[Path, ...]) -> None:
    found = check.read([ROOT / "bundle.yaml", *overlays], charms.find, find_offer=offered)
    assert [str(finding) for finding in found.findings] == []


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_nothing_is_wrong_with_the_other_models(path: Path) -> None:
    found = check.read([path], charms.find, find_offer=offered)
    assert [str(finding) for finding in [*found.findings, *found.warnings]] == []
    for name, application in found.applications.items():
        assert (application.trust, application.scale) == (True, 1), name
        assert (application.channel or "").partition("/")[0] not in ("", "latest"), name


def test_all_that_can_be_observed_is_observed() -> None:
    found = check.read([ROOT / "bundle.yaml", ROOT / "overlays/cos.yaml"], charms.find, find_offer=offered)
    related = {end for ends in found.relations for end in ends if not end.startswith(f"{COLLECTOR}:")}
    for name, charm in found.charms.items():
        for endpoint in {"metrics-endpoint", "grafana-dashboard", "logging"} & charm.endpoints.keys():
            assert name == COLLECTOR or f"{name}:{endpoint}" in related, (name, endpoint)


def test_every_relation_of_the_platform_is_in_it(bundle: check.Bundle) -> None:
    assert set(bundle.relations) >= RELATIONS


def test_every_charm_of_the_repository_is_in_it(bundle: check.Bundle) -> None:
    ours = {path.parent for path in ROOT.glob("charms/*/charmcraft.yaml")}
    assert {bundle.charms[name].path for name, origin in bundle.origins.items() if origin == "local"} == ours


def test_charms_of_charmhub_are_pinned_by_track_and_risk(bundle: check.Bundle) -> None:
    for name, origin in bundle.origins.items():
        if origin == "charmhub":
            track, _, risk = (bundle.applications[name].channel or "").partition("/")
            assert track not in ("", "latest"), name
            assert risk, name


def test_applications_are_trusted_where_they_need_it_and_have_a_scale(bundle: check.Bundle) -> None:
    for name, application in bundle.applications.items():
        assert application.trust is (name != "minio"), name  # which asks Kubernetes for nothing
        assert "scale" in application.model_fields_set, name


def test_our_charms_run_the_images_that_their_metadata_names(bundle: check.Bundle) -> None:
    for name, origin in bundle.origins.items():
        if origin == "local":
            expected = {key: spec.upstream_source for key, spec in bundle.charms[name].resources.items()}
            assert bundle.applications[name].resources == expected, name
