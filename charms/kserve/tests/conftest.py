"""The KServe charm on the charms' harness."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from charm_harness import GATEWAY, Harness, charm_type, unwatched
from ops import testing

from kubeflow_charm import config
from kubeflow_charm.cluster.executor import Cluster

LOCAL_GATEWAY = {
    "gateway_name": "knative-local-gateway",
    "gateway_namespace": "knative-serving",
    "gateway_up": "true",
}
FEATURES = {
    f"kubernetes.podspec-{name}": "enabled"
    for name in ("affinity", "nodeselector", "tolerations", "persistent-volume-claim")
}
KNATIVE = "services.serving.knative.dev"


class KServe(Harness):
    """The charm, and the applications that it is related to."""

    def relations(
        self,
        *,
        gateways: tuple[Mapping[str, str], ...] = (GATEWAY,),
        local: tuple[Mapping[str, str], ...] = (),
        s3: Mapping[str, str] | None = None,
        dispatcher: tuple[str, ...] = (),
    ) -> list[testing.Relation]:
        """Return the relations: gateways, Knative's gateways, an S3 store, endpoints of a dispatcher."""
        rows = [("ingress-gateway", f"istio-pilot-{n}", data) for n, data in enumerate(gateways)]
        rows += [("local-gateway", f"knative-serving-{n}", data) for n, data in enumerate(local)]
        rows += [("s3-credentials", "s3-integrator", s3)] if s3 else []
        rows += [(endpoint, "resource-dispatcher", {}) for endpoint in dispatcher]
        return [
            testing.Relation(endpoint, remote_app_name=name, remote_app_data=dict(data))
            for endpoint, name, data in rows
        ]

    def state(self, model: str, config: dict[str, Any] | None = None, **said: Any) -> testing.State:
        """Return the state before a hook in which models run as Deployments, unless the test says so."""
        usual = {"gpu-discovery": False, "deployment-mode": "standard", "object-store-keys": "shared"}
        return super().state(model, usual | (config or {}), **said)

    def config(self, options: dict[str, Any] | None = None) -> Any:
        """Return the options as the charm reads them."""
        usual = {name: option["default"] for name, option in self._metadata["config"]["options"].items()}
        return config.read(usual | (options or {}), charm_type(self.source).config_type)

    def settings(self, options: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
        """Return the sections of KServe's configuration."""
        data = self.render(options, **said)["ConfigMap/inferenceservice-config"]["data"]
        return {name: json.loads(text) for name, text in data.items()}


@pytest.fixture(scope="module")
def kserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KServe]:
    """The charm."""
    with unwatched():
        harness = KServe(Path(__file__).parents[1], tmp_path_factory.mktemp("kserve"))
        charm_type(harness.source)  # tests import the modules beside it
        yield harness


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Make up what the charm reads in a cluster; the test may change it."""
    there: dict[str, Any] = {
        "kinds": {KNATIVE, "virtualservices.networking.istio.io"},
        "profiles": ["ada", "bob"],
        "policies": [],
        "settings": {"config-features": dict(FEATURES), "config-domain": {"example.com": ""}},
    }

    def of_kind(_: Any, kind: Any, *__: Any, **___: Any) -> list[dict[str, Any]]:
        if kind.kind == "AuthorizationPolicy":
            return there["policies"]
        if kind.kind == "InferenceService":
            return []
        return [
            {"metadata": {"name": name, "namespace": "knative-serving"}, "data": data}
            for name, data in there["settings"].items()
        ]

    def namespaces(*_: Any) -> list[dict[str, Any]]:
        return [{"metadata": {"name": name, "uid": f"uid-of-{name}"}} for name in there["profiles"]]

    monkeypatch.setattr(Cluster, "definitions", lambda _: there["kinds"])
    monkeypatch.setattr(Cluster, "namespaces", namespaces)
    monkeypatch.setattr(Cluster, "of_kind", of_kind)
    return there
