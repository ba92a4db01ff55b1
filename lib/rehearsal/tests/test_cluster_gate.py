import base64
import http.client
import json
import threading
import time
import urllib.parse

import pytest

from rehearsal.cluster.gate import Fault, Gate
from rehearsal.cluster.request import described
from rehearsal.patience import PATIENCE, until


class Caller:
    """Requests with one bearer token over one kept connection."""

    def __init__(self, url: str, token: str):
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=PATIENCE)
        self.headers = {"Authorization": f"Bearer {token}", "User-Agent": "test/1"}

    def __call__(self, method: str, path: str, body=None, kind="application/json", **headers):
        sent = self.headers | {"Content-Type": kind} | headers
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        self.connection.request(method, path, content, sent)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture
def call(cluster, gate):
    """Call as the administrator."""
    caller = Caller(gate.url, cluster.token)
    yield caller
    caller.connection.close()


@pytest.fixture
def account(cluster, client, gate, namespace):
    """Call as a service account that may do everything with ConfigMaps."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"}
    for plural, kind, content in (
        ("roles", "Role", {"rules": rules}),
        ("rolebindings", "RoleBinding", {"roleRef": role, "subjects": [subject]}),
    ):
        item = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "all"}}
        cluster.request("POST", f"{rbac}/{plural}", json.dumps(item | content).encode())
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    token = json.loads(cluster.request("POST", path, json.dumps(request).encode()))["status"]["token"]
    caller = Caller(gate.url, token)
    yield caller
    caller.connection.close()


def config_map(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}


APPLY = {"Content-Type": "application/apply-patch+yaml"}
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", "/api/v1/pods", {}, ("list", "", "pods", "", "")),
        ("GET", "/api/v1/namespaces/n/pods", {}, ("list", "", "pods", "n", "")),
        ("GET", "/api/v1/namespaces/n/pods/p", {}, ("get", "", "pods", "n", "p")),
        ("GET", "/api/v1/namespaces/n/pods/p/log?follow=true", {}, ("get", "", "pods/log", "n", "p")),
        ("GET", "/api/v1/namespaces", {}, ("list", "", "namespaces", "", "")),
        ("GET", "/api/v1/namespaces/n", {}, ("get", "", "namespaces", "", "n")),
        ("PUT", "/api/v1/namespaces/n/finalize", {}, ("update", "", "namespaces/finalize", "", "n")),
        ("GET", "/apis/apps/v1/deployments?watch=true", {}, ("watch", "apps", "deployments", "", "")),
        ("GET", "/apis/apps/v1/deployments?watch=1&x=y", {}, ("watch", "apps", "deployments", "", "")),
        ("GET", "/apis/apps/v1/deployments?watch=false", {}, ("list", "apps", "deployments", "", "")),
        ("POST", "/apis/a.b/v1/namespaces/n/cs", {}, ("create", "a.b", "cs", "n", "")),
        ("PUT", "/apis/a.b/v1/namespaces/n/cs/x/status", {}, ("update", "a.b", "cs/status", "n", "x")),
        ("PATCH", "/apis/a.b/v1/cs/x?force=true", APPLY, ("apply", "a.b", "cs", "", "x")),
        ("PATCH", "/apis/a.b/v1/cs/x", MERGE, ("patch", "a.b", "cs", "", "x")),
        ("DELETE", "/apis/a.b/v1/cs/x", {}, ("delete", "a.b", "cs", "", "x")),
        ("DELETE", "/apis/a.b/v1/cs?labelSelector=a", {}, ("deletecollection", "a.b", "cs", "", "")),
        ("GET", "/readyz", {}, ("get", "", "", "", "")),
        ("GET", "/apis/apps/v1", {}, ("get", "", "", "", "")),
        ("GET", "/openapi/v3/apis/apps/v1", {}, ("get", "", "", "", "")),
    ],
)
def test_a_request_is_described_as_the_authorizer_would(method, path, headers, expected):
    seen = described(method, path, headers)
    assert (seen.verb, seen.group, seen.resource, seen.namespace, seen.name) == expected
    assert seen.writes is (expected[0] not in ("get", "list", "watch"))


@pytest.mark.parametrize(
    ("token", "caller"),
    [
        (b'{"sub":"system:serviceaccount:n:a"}', "system:serviceaccount:n:a"),
        (b'{"iss":"x"}', ""),
        (b"no json", ""),
        (b"", ""),
    ],
)
def test_a_caller_is_the_subject_of_its_token(token, caller):
    payload = base64.urlsafe_b64encode(token).decode().rstrip("=")
    assert described("GET", "/api", {"Authorization": f"Bearer head.{payload}.sign"}).caller == caller


def test_requests_pass_with_their_own_rights_and_are_counted(gate, account, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert account("POST", path, config_map("one"))[0] == 201
    assert account("GET", f"{path}/one")[1]["data"] == {"a": "1"}
    status, refusal = account("GET", f"/api/v1/namespaces/{namespace}/secrets")
    assert (status, refusal["reason"]) == (403, "Forbidden")
    found = gate.requests(caller=f"system:serviceaccount:{namespace}:default")
    assert [(r.verb, r.resource, r.name, r.status, r.writes) for r in found] == [
        ("create", "configmaps", "", 201, True),
        ("get", "configmaps", "one", 200, False),
        ("list", "secrets", "", 403, False),
    ]
    assert {(r.namespace, r.group, r.user_agent) for r in found} == {(namespace, "", "test/1")}
    assert found[0].path == path
    assert all(0 < r.seconds < PATIENCE for r in found)
    assert gate.requests(caller="nobody") == []
    assert gate.requests(since=found[1].at) == found[1:]


def test_large_answers_come_over_one_connection(call):
    sockets = set()
    for _ in range(3):
        status, said = call("GET", "/openapi/v2")
        assert (status, said["swagger"]) == (200, "2.0")
        sockets.add(call.connection.sock.getsockname())
    assert len(sockets) == 1


def test_a_body_sent_in_chunks_arrives(account, namespace):
    content = json.dumps(config_map("chunked")).encode()
    chunks = (content[at : at + 10] for at in range(0, len(content), 10))
    assert account("POST", f"/api/v1/namespaces/{namespace}/configmaps", chunks)[0] == 201


def test_a_watch_streams_at_once_and_is_no_write(gate, account, call, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    account.connection.request("GET", f"{path}?watch=true", headers=account.headers)
    answer = account.connection.getresponse()
    events = []
    reader = threading.Thread(
        target=lambda: events.extend(json.loads(answer.readline()) for _ in range(2)), daemon=True
    )
    reader.start()
    call("POST", path, config_map("seen"))
    reader.join(PATIENCE)
    names = {(event["type"], event["object"]["metadata"]["name"]) for event in events}
    assert ("ADDED", "seen") in names
    (watch,) = (request for request in gate.requests() if request.verb == "watch")
    assert (watch.status, watch.writes) == (200, False)


def test_a_watch_ends_upstream_when_its_client_goes(cluster, account, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps?watch=true"
    account.connection.request("GET", path, headers=account.headers)
    answer = account.connection.getresponse()
    assert streams()
    answer.close()
    account.connection.close()
    until(lambda: not streams(), "the stream to end")


def streams() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gate-stream"]


def test_closing_ends_every_connection(cluster, namespace):
    with Gate(cluster.url, cluster.tls()) as gate:
        idle, watching = (Caller(gate.url, cluster.token) for _ in range(2))
        assert idle("GET", "/version")[0] == 200
        path = f"/api/v1/namespaces/{namespace}/configmaps?watch=true"
        watching.connection.request("GET", path, headers=watching.headers)
        watching.connection.getresponse()
        threads = threading.active_count()
    assert threading.active_count() < threads
    for caller in (idle, watching):
        caller.connection.close()
    with pytest.raises(ConnectionRefusedError):
        Caller(gate.url, cluster.token)("GET", "/version")


def test_a_fault_answers_in_the_place_of_the_api_server(gate, account, call, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    gate.faults.append(Fault(lambda r: r.verb == "create" and bool(r.caller), 409, "not today", times=1))
    status, said = account("POST", path, config_map("one"))
    assert (status, said["kind"], said["code"], said["message"]) == (409, "Status", 409, "not today")
    assert call("GET", f"{path}/one")[0] == 404
    assert account("POST", path, config_map("one"))[0] == 201


def test_a_fault_can_wait_for_the_nth_request(gate, call):
    gate.faults.append(Fault(lambda r: r.resource == "nodes", 503, skip=2, times=1))
    assert [call("GET", "/api/v1/nodes")[0] for _ in range(4)] == [200, 200, 503, 200]


def test_a_fault_without_end_lasts_until_it_is_removed(gate, call):
    gate.faults.append(Fault(lambda r: True, 500))
    assert [call("GET", "/api/v1/nodes")[0] for _ in range(3)] == [500, 500, 500]
    gate.faults.clear()
    assert call("GET", "/api/v1/nodes")[0] == 200


def test_a_fault_can_drop_the_connection_before_anything_happened(gate, account, call, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    gate.faults.append(Fault(lambda r: r.verb == "create", 0, times=1))
    with pytest.raises(http.client.RemoteDisconnected):
        account("POST", path, config_map("lost"))
    assert gate.requests()[-1].status == 0
    assert call("GET", f"{path}/lost")[0] == 404


def test_a_fault_can_lose_the_answer_of_what_has_happened(gate, account, call, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    gate.faults.append(Fault(lambda r: r.verb == "create", 0, times=1, reaches=True))
    with pytest.raises(http.client.RemoteDisconnected):
        account("POST", path, config_map("done"))
    assert call("GET", f"{path}/done")[0] == 200


def test_a_fault_can_only_delay(gate, call):
    gate.faults.append(Fault(lambda r: True, None, delay=0.3, times=1))
    began = time.monotonic()
    assert call("GET", "/version")[0] == 200
    assert time.monotonic() - began > 0.3


def test_an_api_server_that_is_away_does_not_answer(cluster):
    with Gate("https://127.0.0.1:1", cluster.tls()) as gate:
        caller = Caller(gate.url, "t")
        with pytest.raises(http.client.RemoteDisconnected):
            caller("GET", "/version")
        assert [request.status for request in gate.requests()] == [0]
        caller.connection.close()
