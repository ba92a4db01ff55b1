import os
import time

import pytest
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.core_v1 import (
    Container,
    ContainerStateWaiting,
    ContainerStatus,
    PodSpec,
    PodTemplateSpec,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

from rehearsal.cluster.misbehaviour import Misbehaviour
from rehearsal.errors import RehearsalError
from rehearsal.patience import PATIENCE

pytestmark = pytest.mark.skipif(
    "REHEARSAL_TEST_KUBECONFIG" in os.environ, reason="about a control plane of our own, not a shared cluster"
)

IMAGE = "registry.example/web:1"
NOT_FOUND = (
    f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": '
    f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'
)


@pytest.fixture
def misbehave(control_plane):
    """Have pods misbehave; they stop when the test is over."""
    yield lambda *said: control_plane.misbehave(tuple(map(Misbehaviour.parse, said)))
    control_plane.misbehave(())


class Web:
    """A Deployment, of one pod if nothing else is said."""

    def __init__(self, client, namespace: str):
        self._client, self._namespace = client, namespace

    def deploy(self, replicas: int = 1, policy: str = "File") -> None:
        self._client.create(
            Deployment(
                metadata=ObjectMeta(name="web"),
                spec=DeploymentSpec(
                    replicas=replicas,
                    selector=LabelSelector(matchLabels={"app": "web"}),
                    template=PodTemplateSpec(
                        metadata=ObjectMeta(labels={"app": "web"}),
                        spec=PodSpec(
                            containers=[Container(name="main", image=IMAGE, terminationMessagePolicy=policy)]
                        ),
                    ),
                ),
            ),
            namespace=self._namespace,
        )

    @property
    def available(self) -> int:
        return self._client.get(Deployment, "web", namespace=self._namespace).status.availableReplicas or 0

    @property
    def pod(self) -> Pod:
        return next(iter(self._client.list(Pod, namespace=self._namespace)), Pod())

    @property
    def container(self) -> ContainerStatus:
        """The status of the pod's one container; an empty one until there is one."""
        status = self.pod.status
        empty = ContainerStatus(image="", imageID="", name="", ready=False, restartCount=0)
        return ((status and status.containerStatuses) or [empty])[0]

    def waits_for(self, reason: str) -> ContainerStateWaiting | None:
        state = self.container.state
        waiting = state.waiting if state else None
        return waiting if waiting and waiting.reason == reason else None

    @property
    def ready(self) -> bool:
        status = self.pod.status
        return self.container.ready and status is not None and status.phase == "Running"


@pytest.fixture
def web(client, namespace):
    return Web(client, namespace)


def eventually(condition, within: float = PATIENCE):
    deadline = time.monotonic() + within
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return result


@pytest.mark.parametrize(
    ("way", "reason", "phase", "ended", "message"),
    [
        (
            "image-pull",
            "ImagePullBackOff",
            "Pending",
            None,
            f'Back-off pulling image "{IMAGE}": ErrImagePull: {NOT_FOUND}',
        ),
        (
            "crash-loop",
            "CrashLoopBackOff",
            "Running",
            ("Error", 1),
            "back-off 5m0s restarting failed container=main pod={pod}_{namespace}({uid})",
        ),
        (
            "oom",
            "CrashLoopBackOff",
            "Running",
            ("OOMKilled", 137),
            "back-off 5m0s restarting failed container=main pod={pod}_{namespace}({uid})",
        ),
        ("slow:600", "ContainerCreating", "Pending", None, None),
    ],
)
def test_a_pod_shows_the_kubelets_own_words_and_heals(
    namespace, misbehave, web, way, reason, phase, ended, message
):
    misbehave(f"web-*={way}")
    web.deploy()
    waiting = eventually(lambda: web.waits_for(reason))
    pod, container = web.pod, web.container
    named = {"pod": pod.metadata.name, "namespace": namespace, "uid": pod.metadata.uid}
    assert (waiting.message or None) == (message and message.format(**named))
    assert pod.status.phase == phase
    last = container.lastState and container.lastState.terminated
    assert (last and (last.reason, last.exitCode)) == ended
    assert web.available == 0
    misbehave()
    eventually(lambda: web.ready)
    assert (web.pod.metadata.name, web.pod.status.podIP) == (pod.metadata.name, pod.status.podIP)
    assert web.container.restartCount == container.restartCount
    eventually(lambda: web.available == 1)


def test_the_pull_fails_before_it_backs_off(misbehave, web):
    misbehave("web-*=image-pull")
    web.deploy()
    assert eventually(lambda: web.waits_for("ErrImagePull")).message == NOT_FOUND


def test_a_slow_pod_comes_up_after_its_time(misbehave, web):
    misbehave("web-*=slow:2")
    began = time.monotonic()
    web.deploy()
    eventually(lambda: web.waits_for("ContainerCreating"))
    eventually(lambda: web.ready)
    assert time.monotonic() - began > 2


def test_a_running_pod_can_crash_but_needs_no_image(misbehave, web):
    web.deploy()
    eventually(lambda: web.ready)
    misbehave("web-*=image-pull")
    time.sleep(1.5)
    assert web.ready
    misbehave("web-*=crash-loop")
    eventually(lambda: web.waits_for("CrashLoopBackOff"))


@pytest.mark.parametrize(
    ("policy", "kept"), [("FallbackToLogsOnError", "F1 no database: 'db'"), ("File", None)]
)
def test_the_last_words_of_a_program_are_kept_where_its_container_asks_for_that(misbehave, web, policy, kept):
    misbehave("web-*=crash-loop:F1 no database: 'db'")
    web.deploy(policy=policy)
    eventually(lambda: web.waits_for("CrashLoopBackOff"))
    assert web.container.lastState.terminated.message == kept


def test_other_pods_are_left_alone(misbehave, web):
    misbehave("we=crash-loop", "eb-*=oom", "web.*=image-pull", "web-?=oom")
    web.deploy()
    eventually(lambda: web.ready)


def test_a_pod_that_changes_while_it_is_started_keeps_its_first_address(client, namespace, misbehave):
    """KWOK plays a pod as of an event; meanwhile it may have played a later event."""
    misbehave("busy-*=crash-loop")
    spec = PodSpec(containers=[Container(name="main", image=IMAGE)])
    names = [f"busy-{number}" for number in range(40)]
    seen: dict[str, set[str]] = {name: set() for name in names}

    def look() -> None:
        for pod in client.list(Pod, namespace=namespace):
            if pod.status.podIP:
                seen[pod.metadata.name].add(pod.status.podIP)

    for number, name in enumerate(names):
        client.create(Pod(metadata=ObjectMeta(name=name), spec=spec), namespace=namespace)
        time.sleep(0.04 + number / 1000)
        for change in range(4):
            annotated = {"metadata": {"annotations": {"change": str(change)}}}
            client.patch(Pod, name, annotated, namespace=namespace)
            look()
    eventually(lambda: look() or all(seen.values()))
    time.sleep(1)
    look()
    assert {name: len(addresses) for name, addresses in seen.items()} == dict.fromkeys(names, 1)


def test_addresses_stay_unique_when_the_players_change(client, namespace, misbehave, web):
    web.deploy(replicas=5)
    eventually(lambda: web.available == 5)
    misbehave("other-*=oom")
    client.patch(Deployment, "web", {"spec": {"replicas": 10}}, namespace=namespace)
    eventually(lambda: web.available == 10)
    assert len({pod.status.podIP for pod in client.list(Pod, namespace=namespace)}) == 10


@pytest.mark.parametrize("text", ["web-*", "=oom", "web=explode", "web=slow:soon", "web=oom:3", ""])
def test_what_is_no_misbehaviour_is_refused_with_the_form(text):
    with pytest.raises(RehearsalError, match="is no misbehaviour: write PATTERN=WAY"):
        Misbehaviour.parse(text)
