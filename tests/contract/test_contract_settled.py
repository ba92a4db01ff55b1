"""What holds of a charm that has done all there is to do: one bench for all tests of a charm.

A test that disturbs the charm lets it settle again.
"""

from __future__ import annotations

import base64
import copy
import json

from bench import Bench
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from push_api import PushApi

from rehearsal.cluster.gate import Fault
from rehearsal.patience import until


def test_everything_there_is_active_and_a_settled_hook_only_lists(settled: Bench) -> None:
    requests = settled.settled_hook()
    assert settled.status[0] == "active"
    assert len({request.connection for request in requests}) == 1


def test_a_settled_hook_logs_fewer_than_five_records(settled: Bench) -> None:
    logged = settled.logged()
    assert len(logged) < 5, logged
    assert not [line for line in logged if not line.startswith("DEBUG")]


def test_a_failed_apply_is_never_active_and_prunes_nothing(settled: Bench) -> None:
    before = {item["path"] for item in settled.objects()}
    settled.cluster.request("DELETE", sorted(before)[0])
    settled.gate.faults.append(
        Fault(lambda request: request.caller == settled.caller and request.verb == "apply", 500)
    )
    settled.hook()
    assert settled.status[0] == "waiting"
    assert {item["path"] for item in settled.objects()} >= before - {sorted(before)[0]}
    settled.gate.faults.clear()
    settled.hooks()
    assert settled.status[0] == "active"


def test_every_webhook_is_served_with_a_certificate_that_its_caller_trusts(settled: Bench) -> None:
    objects = settled.objects()
    services = {item["metadata"]["name"]: item for item in objects if item["kind"] == "Service"}
    served = [
        x509.load_pem_x509_certificate(base64.b64decode(item["data"]["tls.crt"]))
        for item in objects
        if item["kind"] == "Secret" and "tls.crt" in item.get("data", {})
    ]
    for item in (each for each in objects if each["kind"].endswith("WebhookConfiguration")):
        for webhook in item["webhooks"]:
            target = webhook["clientConfig"]["service"]
            ports = [port["port"] for port in services[target["name"]]["spec"]["ports"]]
            assert target["port"] in ports
            authority = x509.load_pem_x509_certificate(base64.b64decode(webhook["clientConfig"]["caBundle"]))
            name = f"{target['name']}.{target['namespace']}.svc"
            matching = [c for c in served if name in _names(c)]
            assert matching
            for certificate in matching:
                certificate.verify_directly_issued_by(authority)
                assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_platform_pods_pass_restricted_pod_security(settled: Bench) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    body = json.dumps(label).encode()
    path = f"/api/v1/namespaces/{settled.model.name}?fieldManager=somebody"
    settled.cluster.request("PATCH", path, body, "application/merge-patch+json")
    workloads = [i for i in settled.objects() if i["kind"] in ("Deployment", "StatefulSet")]
    assert bool(workloads) == bool(settled.charm.resources), settled.status
    for item in workloads:
        template = copy.deepcopy(item["spec"]["template"])
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        pod["metadata"]["name"] = "probe"
        path = f"/api/v1/namespaces/{settled.model.name}/pods?dryRun=All"
        settled.cluster.request("POST", path, json.dumps(pod).encode())


def _names(certificate: x509.Certificate) -> list[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


def test_the_logs_of_all_its_pods_reach_a_related_loki(settled: Bench) -> None:
    selector = f"app.kubernetes.io%2Finstance={settled.model.name}.{settled.charm.name}"
    listed = settled.cluster.request("GET", f"/api/v1/pods?labelSelector={selector}")
    pods = json.loads(listed)["items"]
    assert bool(pods) == ("logging" in settled.charm.endpoints)
    if not pods:
        return
    containers = {
        (pod["metadata"]["name"], container["name"])
        for pod in pods
        for key in ("initContainers", "containers")
        for container in pod["spec"].get(key, ())
    }
    with PushApi() as loki:
        settled.relate("logging", unit={"endpoint": json.dumps({"url": loki.url})})
        settled.hook()
        assert settled.status[0] == "active"
        until(lambda: {(line.labels["pod"], line.labels["container"]) for line in loki.pushed} >= containers)
        labels = {
            "juju_application": settled.charm.name,
            "juju_model": settled.model.name,
            "namespace": settled.model.name,
        }
        assert len(loki.lines(**labels)) == len(loki.pushed)
        assert {(line.labels["pod"], line.labels["container"]) for line in loki.pushed} == containers
        settled.separate("logging")
        settled.hook()
