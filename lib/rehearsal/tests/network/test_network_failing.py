"""What a webhook's caller meets when the webhook is not as it should be."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from webhook_bench import Certificate, denial, eventually

from rehearsal.cluster.existing import Refused
from rehearsal.patience import PATIENCE

MOUNT = "/etc/webhook/certs"


def ours(name: str) -> list[threading.Thread]:
    """Return the living threads of networks."""
    return [each for each in threading.enumerate() if each.name.startswith(name)]


def refusal(poddefaults) -> str:
    """Return why a dry run is refused, once it is."""
    return eventually(lambda: denial(lambda: poddefaults.pod("canary", dry=True)))


def admitted_as_it_is(poddefaults) -> bool:
    try:
        return "annotations" not in poddefaults.pod("canary", dry=True)["metadata"]
    except Refused:
        return False


def test_without_a_ready_pod_the_failure_policy_decides(poddefaults):
    poddefaults.hook.scale(0)
    hook = poddefaults.hook.namespace
    assert f"no endpoint of the Service {hook}/webhook is ready" in refusal(poddefaults)
    poddefaults.configure(policy="Ignore")
    eventually(lambda: admitted_as_it_is(poddefaults))
    poddefaults.configure(policy="Fail")
    poddefaults.hook.scale(1)
    eventually(poddefaults.called)


def test_a_pod_that_is_gone_does_not_answer_one_call_more(poddefaults):
    assert poddefaults.called()
    poddefaults.hook.scale(0)
    assert not poddefaults.called()


def test_an_authority_of_another_is_told_in_the_api_servers_words(poddefaults):
    poddefaults.configure(ca=Certificate("other").ca)
    said = refusal(poddefaults)
    assert "tls: failed to verify certificate: x509: certificate signed by unknown authority" in said


def test_a_certificate_for_another_name_is_no_good(poddefaults):
    other = Certificate("elsewhere.svc")
    poddefaults.hook.renew(other)
    poddefaults.configure(ca=other.ca)
    wanted = f"webhook.{poddefaults.hook.namespace}.svc"
    assert f"x509: certificate is valid for elsewhere.svc, not {wanted}" in refusal(poddefaults)


def test_a_renewed_certificate_is_served_at_once(poddefaults):
    renewed = Certificate(f"webhook.{poddefaults.hook.namespace}.svc")
    poddefaults.hook.renew(renewed)
    assert "x509: certificate signed by unknown authority" in denial(
        lambda: poddefaults.pod("canary", dry=True)
    )
    poddefaults.configure(ca=renewed.ca)
    eventually(poddefaults.called)


@pytest.mark.parametrize("text", ["nonsense", ""])
def test_a_secret_without_a_certificate_is_nobody_listening(poddefaults, text):
    broken = Certificate("x")
    broken.pair = broken.pair._replace(certificate=text)
    poddefaults.hook.renew(broken)
    assert "the webhook has no certificate" in refusal(poddefaults)


def test_a_port_on_which_the_program_does_not_listen(kube, deploy, users, poddefaults_defined):
    hook = deploy("mirror.example.com:5000/a/poddefaults-webhook@sha256:" + "0" * 64, 8443, MOUNT)
    hook.configure(users, path="/apply-poddefault", resource=("", "pods"))
    spec = {"containers": [{"name": "main", "image": "x"}]}
    said = eventually(lambda: denial(lambda: kube.create("Pod", "a", users, dry=True, spec=spec)))
    assert f"nobody listens on port 8443 of the pod {hook.namespace}/webhook-" in said


def test_a_program_that_nobody_plays(kube, deploy, users):
    hook = deploy("example.com/other-webhook:1", 4443, MOUNT)
    hook.configure(users, path="/", resource=("", "pods"))
    spec = {"containers": [{"name": "main", "image": "x"}]}
    said = eventually(lambda: denial(lambda: kube.create("Pod", "a", users, dry=True, spec=spec)))
    assert f"nobody listens on port 4443 of the pod {hook.namespace}/webhook-" in said


def test_a_path_that_the_program_does_not_know(poddefaults, kube):
    poddefaults.hook.configure(poddefaults.users, path="/wrong", resource=("", "pods"))
    assert "the server could not find the requested resource" in refusal(poddefaults)


def test_fifty_pods_at_once(poddefaults):
    poddefaults.default("all", env=[{"name": "A", "value": "1"}])
    with ThreadPoolExecutor(25) as threads:
        pods = list(threads.map(lambda number: poddefaults.pod("all", name=f"work-{number}"), range(50)))
    assert [pod["spec"]["containers"][0]["env"] for pod in pods] == [[{"name": "A", "value": "1"}]] * 50


def test_two_pods_of_the_webhook_share_the_work(poddefaults):
    poddefaults.hook.scale(2)
    assert all(poddefaults.called() for _ in range(10))


def test_the_network_is_closed_while_calls_run(kube, deploy, users, wiring):
    hook = deploy("example.com/silent:1", 443, MOUNT)
    hook.configure(users, path="/", resource=("", "pods"))
    spec = {"containers": [{"name": "main", "image": "x"}]}

    calls: list[Future[str]] = []
    with ThreadPoolExecutor(8) as threads:

        def another() -> bool:
            name = f"a-{len(calls)}"
            calls.append(
                threads.submit(lambda: denial(lambda: kube.create("Pod", name, users, dry=True, spec=spec)))
            )
            return len(ours("network-call")) >= 8

        eventually(another)
        wiring.close()
        said = [call.result(PATIENCE) for call in calls]
    try:
        # They end when the network is closed, and not when the webhook's time is up.
        assert not any("deadline exceeded" in each for each in said)
        # The first may have come before the API server knew of the webhook.
        assert sum("failed calling webhook" in each for each in said) >= 8
        assert not wiring.path.exists()
        assert not ours("network")
    finally:
        wiring.open()


def test_a_network_made_anew_is_used(poddefaults, wiring):
    wiring.close()
    assert "connect: no such file or directory" in denial(lambda: poddefaults.pod("canary", dry=True))
    wiring.open()
    assert poddefaults.called()
