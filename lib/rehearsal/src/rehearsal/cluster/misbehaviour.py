"""Pods that fail to come up on purpose, to rehearse what operators will see.

KWOK plays them like all pods: the Stage that makes pods ready leaves out pods with matching names, and other
Stages write the kubelet's own words to their status. So no other program patches pods, and no two writers
fight over a status; a pod that no longer matches heals through the Stage that makes pods ready. Neither pods
nor their owners are changed, so controllers see no difference from a real failure.

Reasons and messages are those of Kubernetes v1.36, pkg/kubelet (`images/image_manager.go`,
`kuberuntime/kuberuntime_manager.go`) on containerd.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from rehearsal.errors import RehearsalError

WAYS = ("image-pull", "crash-loop", "oom", "slow")


@dataclass(frozen=True)
class Waiting:
    """A step of a misbehaviour: the waiting state of every container of the pod.

    Args:
        reason: for example `ImagePullBackOff`.
        message: a Go template of the kubelet's message; the container is `.`, the pod is `$pod`.
        after: seconds since the previous step.
        terminated: reason and exit status of the container's last run, if there was one.
        said: the end of that run's log, which Kubernetes keeps for containers with the
            `terminationMessagePolicy` FallbackToLogsOnError.
    """

    reason: str
    message: str = '""'
    after: float = 0.0
    terminated: tuple[str, int] | None = None
    said: str = ""


_PULL = (
    "rpc error: code = NotFound desc = failed to pull and unpack image %q: "
    "failed to resolve reference %q: %s: not found"
).replace('"', '\\"')
_BACK_OFF = (
    'printf "back-off 5m0s restarting failed container=%s pod=%s_%s(%s)" '
    ".name $pod.metadata.name $pod.metadata.namespace $pod.metadata.uid"
)
_STEPS = {
    "image-pull": (
        Waiting("ErrImagePull", f'printf "{_PULL}" .image .image .image'),
        Waiting(
            "ImagePullBackOff",
            f'printf "Back-off pulling image %q: ErrImagePull: {_PULL}" .image .image .image .image',
            after=1.0,
        ),
    ),
    "crash-loop": (Waiting("CrashLoopBackOff", _BACK_OFF, terminated=("Error", 1)),),
    "oom": (Waiting("CrashLoopBackOff", _BACK_OFF, terminated=("OOMKilled", 137)),),
    "slow": (Waiting("ContainerCreating"),),
}


@dataclass(frozen=True)
class Misbehaviour:
    """Pods that fail to come up.

    A running pod can crash or run out of memory; only new pods can fail to pull an image or start slowly.

    Args:
        pattern: shell pattern of the pods' names, with `*` and `?`.
        way: `image-pull`, `crash-loop`, `oom`, or `slow`.
        seconds: for `slow`: how long a pod takes to become ready.
        said: for `crash-loop`: what the program logged before it ended.
    """

    pattern: str
    way: str
    seconds: float = 30
    said: str = ""

    @classmethod
    def parse(cls, text: str) -> Misbehaviour:
        """Read `PATTERN=image-pull`, `PATTERN=slow:30` or `PATTERN=crash-loop:LAST WORDS`.

        Raises:
            RehearsalError: for anything else.
        """
        pattern, _, way = text.partition("=")
        way, _, more = way.partition(":")
        fits = {"slow": not more or more.isdigit(), "crash-loop": "{{" not in more}.get(way, not more)
        if not pattern or way not in WAYS or not fits:
            ways = ", ".join(WAYS).replace("crash-loop", "crash-loop[:LAST WORDS]")
            raise RehearsalError(
                f"{text!r} is no misbehaviour: write PATTERN=WAY, with one of {ways}[:SECONDS]"
            )
        if way == "slow":
            return cls(pattern, way, float(more or 30))
        return cls(pattern, way, said=more)

    @property
    def steps(self) -> tuple[Waiting, ...]:
        """The waiting states of the pods' containers, in order."""
        return tuple(dataclasses.replace(step, said=self.said) for step in _STEPS[self.way])

    @property
    def strikes_running(self) -> bool:
        """Whether it hits running pods, too."""
        return self.way in ("crash-loop", "oom")

    @property
    def expression(self) -> str:
        """A jq expression that is `true` for matching pods; its regular expressions are Go's."""
        wildcards = {"*": ".*", "?": "."}
        regex = "".join(wildcards.get(letter) or re.escape(letter) for letter in self.pattern)
        return f'.metadata.name | test("^{regex}$") | tostring'.replace("\\", "\\\\")
