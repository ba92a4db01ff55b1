"""The other side of `kubernetes_manifest`, as far as PodDefaults need it."""

import lightkube
import ops
from lightkube.resources.core_v1 import Namespace

from kubeflow_charm.relations import kubernetes_manifest
from rehearsal import documents

POD_DEFAULT = documents.namespaced("kubeflow.org", "v1alpha1", "PodDefault", "poddefaults")
PROFILES = "app.kubernetes.io/part-of"


class ResourceDispatcher(ops.CharmBase):
    """Put what is offered into every profile, in every hook."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.pod_defaults = kubernetes_manifest.Provides(self, "pod-defaults")
        for event in (self.on.start, self.on.update_status, self.on["pod-defaults"].relation_changed):
            framework.observe(event, self._dispatch)

    def _dispatch(self, _: ops.EventBase) -> None:
        offered = [document for all_of_one in self.pod_defaults.get().values() for document in all_of_one]
        with lightkube.Client(field_manager=self.app.name) as client:
            for namespace in client.list(Namespace, labels={PROFILES: "kubeflow-profile"}):
                assert namespace.metadata
                for document in offered:
                    metadata = {"name": document["metadata"]["name"], "namespace": namespace.metadata.name}
                    client.apply(POD_DEFAULT({**document, "metadata": metadata}), force=True)
        self.unit.status = ops.ActiveStatus("stand-in")


if __name__ == "__main__":
    ops.main(ResourceDispatcher)
