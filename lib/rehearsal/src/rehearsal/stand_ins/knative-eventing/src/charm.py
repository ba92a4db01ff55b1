"""Plays knative-eventing: Knative's eventing in its own namespace.

Facts: canonical/knative-operators, charms/knative-eventing, 1.16. Traits of the real charm that are played:
it makes one KnativeEventing, called like the application, in the namespace `knative-eventing`, whatever its
model. Differences from the real charm:

- It does the operator's work itself: see `rehearsal.stand_ins.operated`.
- A `version` that the operator does not know blocks it; the real one is active, and nothing gets installed.
- Nobody plays its programs, so its webhooks are left out: brokers, triggers and the like stay as they are.
- No jobs migrate.
"""

from __future__ import annotations

import ops

from rehearsal.cluster import crds
from rehearsal.stand_ins import knative, operated

COMPONENT = "knative-eventing"
IMAGES = {
    "eventing-controller/eventing-controller": "charmedkubeflow/knative-eventing-controller:1.16.1-9ce84dd",
    "eventing-webhook/eventing-webhook": "charmedkubeflow/knative-eventing-webhook:1.16.1-41d35c3",
    "imc-controller/controller": "charmedkubeflow/knative-eventing-channel-controller:1.16.1-a297268",
    "imc-dispatcher/dispatcher": "charmedkubeflow/knative-eventing-channel-dispatcher:1.16.1-ada58f5",
    "job-sink/job-sink": "charmedkubeflow/knative-eventing-job-sink:1.16.1-1c33b95",
    "mt-broker-controller/mt-broker-controller": (
        "charmedkubeflow/knative-eventing-mtchannel-broker:1.16.1-b727068"
    ),
    "mt-broker-filter/filter": "charmedkubeflow/knative-eventing-broker-filter:1.16.1-38d9fc1",
    "mt-broker-ingress/ingress": "charmedkubeflow/knative-eventing-broker-ingress:1.16.1-f046888",
    "pingsource-mt-adapter/dispatcher": "charmedkubeflow/knative-eventing-mtping:1.16.1-d5773f7",
}
LAST = "triggers.eventing.knative.dev"
"""The CRD that is installed last: if it exists, all others do."""
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


class KnativeEventing(operated.OperatedStandIn):
    """The parts of knative-eventing that users rely on."""

    namespace = COMPONENT
    kind = operated.asking("KnativeEventing")
    needed = {  # noqa: RUF012 (read only)
        "knativeeventings.operator.knative.dev": "Waiting for knative-operator CRDs to be present."
    }

    def play(self) -> None:
        """Keep eventing installed."""
        asked = self.asked()
        self.wait_for_definitions()
        documents = [each for each in crds.manifests("knative-eventing") if each["kind"] not in WEBHOOKS]
        self.keep_installed(documents, asked, LAST)

    def asked(self) -> knative.Asked:
        """Return what the options ask for."""
        version = str(self.config["version"])
        knative.check_version(COMPONENT, version)
        config = {"_default": {"placeholder": "value"}}
        if collector := self.telemetry():
            config["observability"] = knative.metrics(collector)
        images = knative.images(str(self.config["custom_images"]), IMAGES)
        return knative.Asked(COMPONENT, version, config, images)


if __name__ == "__main__":
    ops.main(KnativeEventing)
