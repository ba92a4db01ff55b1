"""Plays knative-serving: Knative's serving in its own namespace, and the gateways that others are told of.

Facts: canonical/knative-operators, charms/knative-serving, 1.16. Traits of the real charm that are played: it
makes one KnativeServing, called like the application, in the namespace `knative-serving`, whatever its model;
it enables the features of affinity, node selectors and tolerations, and no other, so a volume claim in a
service is refused; it sends both gateways' data at once, before anything is installed; the local gateway is
always `knative-local-gateway` in `knative-serving`, and its Service is in `istio.gateway.namespace`; the
programs have the images of charmedkubeflow. Differences from the real charm:

- It does the operator's work itself: see `rehearsal.stand_ins.operated`.
- It waits for Istio's definitions too; the real one is active without them, and the operator fails.
- An `istio.gateway.namespace` that is empty, or a `version` that the operator does not know, blocks it; the
  real one is active, and nothing gets installed.
- No jobs migrate or clean up; ConfigMaps are checked by nobody.
"""

from __future__ import annotations

from typing import Any

import ops

from rehearsal.cluster import crds
from rehearsal.stand_ins import knative, operated
from rehearsal.stand_ins.stopping import blocked

COMPONENT = "knative-serving"
IMAGES = {
    "activator": "charmedkubeflow/knative-serving-activator:1.16.0-2a3354f",
    "autoscaler": "charmedkubeflow/knative-serving-autoscaler:1.16.0-be87e8e",
    "controller": "charmedkubeflow/knative-serving-controller:1.16.0-2596560",
    "webhook": "charmedkubeflow/knative-serving-webhook:1.16.0-692cdbd",
    "autoscaler-hpa": "charmedkubeflow/knative-serving-autoscaler-hpa:1.16.0-9f36110",
    "net-istio-controller/controller": "charmedkubeflow/net-istio-controller:1.16.0-2ac1bad",
    "net-istio-webhook/webhook": "charmedkubeflow/net-istio-webhook:1.16.0-4214206",
    "queue-proxy": "charmedkubeflow/knative-serving-queue:1.16.0-18b14c8",
    "migrate": "docker.io/charmedkubeflow/migrate:1.16.0-e5dc265",
}
LAST = "services.serving.knative.dev"
"""The CRD that is installed last: if it exists, all others do."""
PROXIES = {"http-proxy": "HTTP_PROXY", "https-proxy": "HTTPS_PROXY", "no-proxy": "NO_PROXY"}


class KnativeServing(operated.OperatedStandIn):
    """The parts of knative-serving that other charms and users rely on."""

    namespace = COMPONENT
    kind = operated.asking("KnativeServing")
    needed = {  # noqa: RUF012 (read only)
        "knativeservings.operator.knative.dev": "Waiting for knative-operator CRDs to be present.",
        "gateways.networking.istio.io": "Waiting for Istio's CRDs, which istio-pilot installs",
    }

    def play(self) -> None:
        """Tell of the gateways first, since the real charm needs nothing for that."""
        self.each(self.tell_gateways, self.keep_serving)

    def tell_gateways(self) -> None:
        """Send names and namespaces of both gateways."""
        ingress = (str(self.config["istio.gateway.name"]), str(self.config["istio.gateway.namespace"]))
        for endpoint, (name, namespace) in {
            "ingress-gateway": ingress,
            "local-gateway": (knative.LOCAL_GATEWAY, COMPONENT),
        }.items():
            said = {"gateway_name": name, "gateway_namespace": namespace, "gateway_up": "true"}
            for relation in self.related(endpoint):
                relation.data[self.app].update(said)

    def keep_serving(self) -> None:
        """Keep serving installed."""
        asked = self.asked()
        self.wait_for_definitions()
        documents = [*crds.manifests("knative-serving"), *crds.manifests("knative-ingress")]
        self.keep_installed(documents, asked, LAST)

    def asked(self) -> knative.Asked:
        """Return what the options ask for."""
        options: dict[str, Any] = {name: str(value) for name, value in self.config.items()}
        knative.check_version(COMPONENT, options["version"])
        namespace = options["istio.gateway.namespace"]
        if not namespace:
            raise blocked(f"juju config {self.app.name} istio.gateway.namespace=NAMESPACE of the gateway")
        deployment = {
            "progress-deadline": options["progress-deadline"],
            "registries-skipping-tag-resolving": options["registries-skipping-tag-resolving"],
        }
        if options["queue_sidecar_image"]:
            deployment["queue-sidecar-image"] = options["queue_sidecar_image"]
        pods = ("affinity", "nodeselector", "tolerations")
        config = {
            "deployment": deployment,
            "features": {f"kubernetes.podspec-{each}": "enabled" for each in pods},
            "istio": {
                f"gateway.{namespace}.{options['istio.gateway.name']}": (
                    "some-workload.knative-operator.svc.cluster.local"
                ),
                f"local-gateway.{COMPONENT}.{knative.LOCAL_GATEWAY}": (
                    f"{knative.LOCAL_GATEWAY}.{namespace}.svc.cluster.local"
                ),
            },
            "domain": {options["domain.name"]: ""},
        }
        if collector := self.telemetry():
            config["observability"] = knative.metrics(collector)
        proxies = {name: options[each] for each, name in PROXIES.items() if options[each]}
        images = knative.images(options["custom_images"], IMAGES)
        variables = {"controller": proxies} if proxies else {}
        return knative.Asked(COMPONENT, options["version"], config, images, variables)

    def _gateways(self) -> list[str]:
        namespace = str(self.config["istio.gateway.namespace"])
        return [namespace] if namespace else []


if __name__ == "__main__":
    ops.main(KnativeServing)
