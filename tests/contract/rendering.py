"""What every charm wants there to be, without a cluster: rendered, with the labels that all that is ours has."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench import CHARMS, NEIGHBOURS, SECRETS
from charm_harness import Harness, charm_type, unwatched
from ops import testing

from kubeflow_charm import config
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.ownership import ApplySet
from kubeflow_charm.cluster.resources import Manifest

MODEL = "kubeflow"
"""The model, which is Istio's root namespace where istio-pilot's charm installs it."""
RELATED = {"kubeflow-profiles": "kubeflow-dashboard"}
"""Endpoint to the application there, where its name says who may call."""
EXCLUDED = {"object-storage"}
"""Endpoints that exclude one that is related. A MinIO would be asked to make keys, and nobody answers here."""
S3 = {"endpoint": "https://s3.example.com", "bucket": "mlpipeline", "access-key": "k", "secret-key": "s"}
WRITTEN = NEIGHBOURS | {"s3": S3}
"""Interface to what the other application has written."""
OFFLINE = {"gpu-discovery": False, "object-store-keys": "shared", "deployment-mode": "standard"}
"""Options without which a charm asks the cluster for nodes, profiles or Knative's settings."""
PARTS = ("llm-inference", "local-models", "cache-enabled")
"""The options without which a charm leaves programs out."""
COMPONENTS = [path for path in CHARMS if (path / "src" / "templates").is_dir()]
"""The folders of the charms that have pods."""


class Related(Harness):
    """A charm that is related by all its endpoints."""

    @staticmethod
    def metadata(source: Path) -> dict[str, Any]:
        """Return what `charmcraft.yaml` says."""
        return yaml.safe_load((source / "charmcraft.yaml").read_text())

    @property
    def name(self) -> str:
        """The charm's name, which the application has as well."""
        return self._metadata["name"]

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """The options as `charmcraft.yaml` has them."""
        return self._metadata["config"]["options"]

    def takes(self, options: dict[str, Any]) -> bool:
        """Return whether the options may be so, the others being as they are at first."""
        usual = {name: option["default"] for name, option in self.options.items() if "default" in option}
        try:
            config.read(usual | options, charm_type(self.source).config_type)
        except ExceptionGroup:
            return False
        return True

    def relations(self, *, gateway_namespace: str = MODEL) -> list[testing.Relation]:
        """Return the relations; the gateway runs in `gateway_namespace`."""
        relations = []
        for side in ("requires", "provides"):
            for endpoint, spec in self._metadata.get(side, {}).items():
                written = dict(WRITTEN.get(spec["interface"], {})) if side == "requires" else {}
                if "gateway_namespace" in written:
                    written["gateway_namespace"] = gateway_namespace
                written |= {key: _uri(key) for key in SECRETS.keys() & written.keys()}
                other = RELATED.get(endpoint) if side == "provides" else None
                if endpoint not in EXCLUDED:
                    relations.append(
                        testing.Relation(
                            endpoint, remote_app_name=other or f"{endpoint}-app", remote_app_data=written
                        )
                    )
        return relations

    def render(
        self, config: dict[str, Any] | None = None, model: str = "mlops", **said: Any
    ) -> dict[str, Manifest]:
        """Return what the charm wants there to be, in a cluster without definitions and profiles."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Cluster, "definitions", lambda _: set())
            patch.setattr(Cluster, "namespaces", lambda *_: [])
            return super().render(config, model, **said)

    def state(self, model: str, config: dict[str, Any] | None = None, **options: Any) -> testing.State:
        """Return the state before a hook that asks no cluster for anything."""
        offline = {option: value for option, value in OFFLINE.items() if option in self.options}
        secrets = frozenset(testing.Secret(content, id=_uri(key)) for key, content in SECRETS.items())
        return dataclasses.replace(super().state(model, offline | (config or {}), **options), secrets=secrets)

    def objects(self, config: dict[str, Any] | None = None, **options: Any) -> list[Manifest]:
        """Return all that the charm wants, as it is written to the cluster."""
        documents = copy.deepcopy(list(self.render(config, MODEL, **options).values()))
        own = ApplySet(self.name, MODEL)
        for document in documents:
            own.claim(document)
        return documents


def everything(
    folder: Path, config: dict[str, dict[str, Any]] | None = None, **options: Any
) -> list[Manifest]:
    """Return all that all charms want, in one model.

    Args:
        folder: for scratch.
        config: charm to options of its own.
        options: for `Related.relations`.
    """
    objects = []
    with unwatched():
        for source in COMPONENTS:
            (folder / source.name).mkdir()
            charm = Related(source, folder / source.name)
            objects += charm.objects((config or {}).get(charm.name), **options)
    return objects


def _uri(key: str) -> str:
    """Return the URI of the secret that a neighbour names under a key."""
    return f"secret:{key.replace('-', '')}"
