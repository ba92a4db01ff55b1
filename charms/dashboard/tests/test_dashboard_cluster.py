"""The charm against a real API server: what only shows there."""

from __future__ import annotations

import itertools
import json

import lightkube
import ops
import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod

FEAST = {"text": "Feast", "link": "/feast/", "location": "external", "icon": "a", "type": "item", "desc": ""}


_NUMBERS = itertools.count(2026)


@pytest.fixture
def model() -> str:
    """A model of its own for each test. Juju lets its name be a number, which YAML must not take for one."""
    return str(next(_NUMBERS))


def version(client: lightkube.Client, model: str) -> int:
    """Return the generation of the Deployment, which counts the changes of its spec."""
    found = client.get(Deployment, "centraldashboard", namespace=model).metadata
    assert found and found.generation
    return found.generation


def external(client: lightkube.Client, model: str) -> list[str]:
    data = client.get(ConfigMap, "centraldashboard-config", namespace=model).data
    assert data
    return [link["text"] for link in json.loads(data["links"])["externalLinks"]]


def test_everything_is_taken_by_the_api_server(deployed):
    assert isinstance(deployed.unit_status, ops.WaitingStatus)
    assert deployed.unit_status.message.startswith("centraldashboard 0/1")


def test_a_second_hook_writes_nothing_although_others_wrote_between(
    dashboard, deployed, model, client, cluster, gate, monkeypatch
):
    annotation = {"metadata": {"annotations": {"example.com/seen": "yes"}}}
    client.patch(Deployment, "centraldashboard", annotation, namespace=model)
    configuration = dashboard.folder / "gate.yaml"
    configuration.write_text(json.dumps(cluster.kubeconfig(cluster.token, model, server=gate.url)))
    monkeypatch.setenv("KUBECONFIG", str(configuration))
    dashboard.run(model)
    requests = gate.requests()
    assert requests
    assert [request for request in requests if request.writes] == []


def test_a_change_of_links_restarts_nothing_and_an_application_takes_its_links_along(
    dashboard, deployed, model, client
):
    before = version(client, model)
    dashboard.run(model, offered={"feast-ui": [FEAST], "feast-ui-too": [FEAST]})
    assert external(client, model) == ["Feast"]
    dashboard.run(model, offered={"feast-ui": [FEAST]})
    assert external(client, model) == ["Feast"]
    dashboard.unrelate(model, "feast-ui", offered={"feast-ui": [FEAST]})
    assert external(client, model) == []
    assert version(client, model) == before


def test_registration_flow_changes_one_variable_of_the_pod(dashboard, deployed, model, client):
    before = version(client, model)
    dashboard.run(model, {"registration-flow": False})
    pod = client.get(Deployment, "centraldashboard", namespace=model).spec.template.spec
    (container,) = pod.containers
    assert [item.value for item in container.env if item.name == "REGISTRATION_FLOW"] == ["false"]
    assert version(client, model) == before + 1


def test_a_wrong_option_leaves_the_cluster_as_it_was_and_a_right_one_heals(
    dashboard, deployed, model, client
):
    good = {"additional-external-links": "[{text: A, link: /a/}]"}
    dashboard.run(model, good)
    status = dashboard.run(model, {"additional-external-links": "[{text: A}]"}).unit_status
    assert isinstance(status, ops.BlockedStatus)
    assert external(client, model) == ["A"]
    assert not isinstance(dashboard.run(model, good).unit_status, ops.BlockedStatus)


def test_another_configmap_replaces_the_first(dashboard, deployed, model, client):
    dashboard.run(model, {"dashboard-configmap": "menus"})
    names = {item.metadata.name for item in client.list(ConfigMap, namespace=model)}
    assert "menus" in names
    assert "centraldashboard-config" not in names


def test_pod_passes_the_restricted_standard(deployed, model, client):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.patch(Namespace, model, {"metadata": {"labels": labels}})
    template = client.get(Deployment, "centraldashboard", namespace=model).spec.template
    pod = Pod(metadata=ObjectMeta(name="probe"), spec=template.spec)
    client.create(pod, namespace=model)
    client.delete(Pod, "probe", namespace=model, grace_period=0)
