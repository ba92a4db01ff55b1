"""istiod, as the real charm of istio-pilot installs it: the API server is let past its webhooks."""

from __future__ import annotations

from webhook_bench import Kube, denial, eventually

from rehearsal.stage import Stage

RULES = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "update"]},
    {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        "verbs": ["get", "list", "watch", "update", "patch"],
    },
]
POD = {"containers": [{"name": "main", "image": "example.com/anything:1"}]}


def test_pods_pass_when_istiod_is_up_and_not_before() -> None:
    with Stage() as stage:
        kube = Kube(stage.cluster)  # type: ignore[arg-type]
        mesh = kube.namespace("mesh")
        service = {"name": "istiod", "namespace": mesh, "path": "/inject"}
        pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        hook = {
            "name": "rev.namespace.sidecar-injector.istio.io",
            "clientConfig": {"service": service},
            "rules": [pods],
            "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        labels = {"istio.io/rev": "default", "app": "sidecar-injector"}
        kube.create("MutatingWebhookConfiguration", "injector", metadata={"labels": labels}, webhooks=[hook])
        kube.create("Namespace", "users", metadata={"labels": {"istio-injection": "enabled"}})
        assert denial(lambda: kube.create("Pod", "a", "users", dry=True, spec=POD))

        kube.create("ServiceAccount", "istiod", mesh)
        kube.create("ClusterRole", "istiod", rules=RULES)
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "istiod"}
        subject = {"kind": "ServiceAccount", "name": "istiod", "namespace": mesh}
        kube.create("ClusterRoleBinding", "istiod", roleRef=role, subjects=[subject])
        own = {"app": "istiod"}
        environment = [
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "REVISION", "value": "default"},
        ]
        container = {"name": "discovery", "image": "docker.io/istio/pilot:1.28.0", "env": environment}
        template = {
            "metadata": {"labels": own},
            "spec": {"serviceAccountName": "istiod", "containers": [container]},
        }
        spec = {"selector": {"matchLabels": own}, "template": template}
        kube.create("Deployment", "istiod", mesh, spec=spec)
        ports = [{"port": 443, "targetPort": 15017}]
        kube.create("Service", "istiod", mesh, spec={"selector": own, "ports": ports})

        def passes() -> bool:
            return not denial(lambda: kube.create("Pod", "a", "users", dry=True, spec=POD))

        eventually(passes)
        assert stage.players is not None
        assert stage.players.refusals() == []
