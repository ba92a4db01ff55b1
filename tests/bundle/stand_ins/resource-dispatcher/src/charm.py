"""The other side of `kubernetes_manifest`, as far as PodDefaults need it."""

import lightkube
import ops
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.core_v1 import Namespace

from kubeflow_charm.relations import kubernetes_manifest

POD_DEFAULT = create_namespaced_resource("kubeflow.org", "v1alpha1", "PodDefault", "poddefaults")


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
            labels = {"app.kubernetes.io/part-of": "kubeflow-profile"}
            for namespace in client.list(Namespace, labels=labels):
                assert namespace.metadata and namespace.metadata.name
                for document in offered:
                    name = document["metadata"]["name"]
                    client.apply(POD_DEFAULT(document), name, namespace=namespace.metadata.name, force=True)
        self.unit.status = ops.ActiveStatus("stand-in")


if __name__ == "__main__":
    ops.main(ResourceDispatcher)
