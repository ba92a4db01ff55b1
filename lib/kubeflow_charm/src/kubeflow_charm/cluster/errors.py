"""The one translation from Kubernetes' errors to problems.

| what happens | what the operator sees |
| --- | --- |
| an admission webhook or policy denies an object | blocked, with its name and its reason |
| an admission webhook does not answer | waiting, with its name and the reason |
| 401, 403 | blocked, with the `juju trust` command |
| 403 for a full quota | blocked, with the quota |
| 403 while a namespace is being deleted | waiting |
| 404 on apply or list | waiting: the type or the namespace does not exist yet |
| 429 for a type whose storage begins | waiting: the type is not served yet |
| 409 | waiting; an object of somebody else is blocked (`plan.py`) |
| 408, 429, 5xx, transport errors and timeouts | waiting for the Kubernetes API |
| an answer of something else than Kubernetes: no Status, no JSON | waiting for the Kubernetes API |
| 422 for an immutable field | the charm replaces the object, or is blocked (`executor.py`) |
| 400, 422, anything else | raised: a bug of the charm |
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import httpx2
import msgspec
from lightkube.core.exceptions import ApiError

from kubeflow_charm.problems import Problem, blocked, waiting

_SCHEMA_ERRORS = ("failed to create typed patch object", "failed to convert new object")
"""In a server-side apply, the API server answers 500 to an unknown field, and to a value that its type cannot
hold, such as text that is not Base64."""
_DENIED = re.compile(
    r"""(?:admission webhook "(?P<webhook>[^"]+)"|ValidatingAdmissionPolicy '(?P<policy>[^']+)').*?"""
    r""" denied (?:the )?request:? (?P<why>.*)""",
    re.DOTALL,
)
"""The API server's wording for a denial by a webhook or policy, which may use any status code
(k8s.io/apiserver v0.36.3, pkg/admission/plugin, webhook/errors and policy/validating)."""
_BEGINNING = "storage is (re)initializing"
"""The API server's wording for a custom type that is established and not served yet
(k8s.io/apiserver v0.36.3, pkg/storage/cacher/cacher.go)."""
_UNANSWERED = re.compile(
    r"""failed calling webhook "(?P<webhook>[^"]+)": (?:failed to call webhook: )?(?:Post "[^"]*": )?"""
    r"""(?P<why>.*)""",
    re.DOTALL,
)
"""Its wording for a webhook that does not answer (pkg/util/webhook/error.go, and Go's net/http)."""
_IMMUTABLE = re.compile(
    r"is immutable|may not (?:be changed|change once set)|cannot change roleRef"
    r"|updates to \w+ spec for fields other than .* are forbidden"
)
"""The API server's wording for immutable fields (kubernetes v1.36: the common ones of
k8s.io/apimachinery pkg/api/validation; pkg/apis/rbac, scheduling, apps and core, each in validation)."""


@contextlib.contextmanager
def explained(subject: str, application: str) -> Iterator[None]:
    """Turn a remote failure within the block into a `Problem`.

    Args:
        subject: the object or type, such as `Deployment kubeflow/centraldashboard`.
        application: name of this application, for the command in the status.

    Raises:
        Problem: for every cause outside the charm.
        ApiError: for a request that is wrong itself: a bug.
    """
    try:
        yield
    except ApiError as error:
        problem = _of_api_error(error, subject, application)
        if problem is None:
            raise
        raise problem from error
    except httpx2.HTTPStatusError as error:  # an answer without a Status: of a proxy, or for an unknown type
        code = error.response.status_code
        if code == 404:
            raise waiting(subject, _absent("")) from error
        raise waiting("Kubernetes API", f"HTTP {code} on {subject}") from error
    except httpx2.RequestError as error:
        raise waiting("Kubernetes API", f"{type(error).__name__} on {subject}") from error
    except msgspec.MsgspecError as error:  # a proxy answers instead of the API server
        raise waiting("Kubernetes API", f"no answer of its own on {subject}") from error


def is_immutable(error: ApiError) -> bool:
    """Whether the API server refuses a change because a field is immutable."""
    return error.status.code == 422 and bool(_IMMUTABLE.search(error.status.message or ""))


def immutable_field(error: ApiError) -> str:
    """Return the name of the immutable field, such as `spec.selector`."""
    causes = (error.status.details and error.status.details.causes) or []
    return next((cause.field for cause in causes if cause.field), "a field")


def is_missing(error: BaseException | None) -> bool:
    """Whether the API server answered that the object or its type does not exist."""
    return isinstance(error, httpx2.HTTPStatusError) and error.response.status_code == 404


def _of_api_error(error: ApiError, subject: str, application: str) -> Problem | None:
    code, message = error.status.code or 0, error.status.message or ""
    if denied := _DENIED.search(message):
        who = denied["webhook"] or denied["policy"]
        return blocked(f"{who} refuses {subject}", denied["why"], in_cluster=True)
    if silent := _UNANSWERED.search(message):
        return waiting(subject, f"webhook {silent['webhook']} does not answer: {silent['why']}")
    if code in (401, 403):
        return _of_refusal(message, subject, application)
    if code == 404:
        return waiting(subject, _absent(message))
    if code == 409:
        return waiting(subject, f"changed by another at the same time: {message}")
    if code >= 500 and any(error in message for error in _SCHEMA_ERRORS):
        return None
    if code == 429 and _BEGINNING in message:
        return waiting(subject, "its type is not served yet")
    if code in (408, 429) or code >= 500:
        return waiting("Kubernetes API", f"{code} on {subject}: {message}")
    return None


def _of_refusal(message: str, subject: str, application: str) -> Problem:
    """Distinguish the reasons for a 403 (k8s.io/apiserver, admission plugins)."""
    if "is being terminated" in message:
        return waiting(subject, "its namespace is being removed")
    if "exceeded quota" in message:
        return blocked(subject, _quota(message), in_cluster=True)
    return blocked(f"no rights on {subject}", f"juju trust {application} --scope=cluster", in_cluster=True)


def _quota(message: str) -> str:
    return "exceeded quota" + message.partition("exceeded quota")[2]


def _absent(message: str) -> str:
    """Return what was not found: the namespace that a 404 names, otherwise the type."""
    if message.startswith("namespaces "):
        return message
    return "its type is not installed yet"
