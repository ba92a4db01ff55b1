"""Pods that do not come up, on purpose, so that what operators will see is rehearsed.

KWOK plays them, as it plays all pods: a pod whose name matches is left out of the Stage that makes pods
ready, and gets Stages that write the kubelet's own words instead. So nothing else patches pods, two writers
never quarrel over a status, and a pod that no longer matches heals by the Stage that makes every pod ready.
Neither pods nor their owners are touched, so no controller sees a difference to a real failure.

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
    """A step of a misbehaviour: what every container of the pod waits for.

    Args:
        reason: `ImagePullBackOff`, and so on.
        message: Go template of the reason's own words; the container is `.`, the pod is `$pod`.
        after: seconds after the step before.
        terminated: reason and exit status of the container's last life, if it had one.
        said: the end of the log of that life, which Kubernetes keeps of containers with the
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
    """Pods that do not come up.

    A pod that runs already can crash or run out of memory; an image that cannot be pulled and a slow start
    are the fate of new pods only.

    Args:
        pattern: shell pattern of the pods' names, with `*` and `?`.
        way: `image-pull`, `crash-loop`, `oom`, or `slow`.
        seconds: of `slow`: how long a pod takes to become ready.
        said: of `crash-loop`: what the program logged before it ended.
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
        """What the pods' containers wait for, one after the other."""
        return tuple(dataclasses.replace(step, said=self.said) for step in _STEPS[self.way])

    @property
    def strikes_running(self) -> bool:
        """Whether a pod that is ready is hit as well."""
        return self.way in ("crash-loop", "oom")

    @property
    def expression(self) -> str:
        """The jq expression that is `true` for the pods; its regular expressions are Go's."""
        wildcards = {"*": ".*", "?": "."}
        regex = "".join(wildcards.get(letter) or re.escape(letter) for letter in self.pattern)
        return f'.metadata.name | test("^{regex}$") | tostring'.replace("\\", "\\\\")
