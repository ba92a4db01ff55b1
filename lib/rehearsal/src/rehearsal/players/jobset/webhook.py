"""JobSet's webhooks: what it fills into a JobSet, and what it refuses.

kubernetes-sigs/jobset v0.10.1, pkg/webhooks.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from rehearsal.network.playing import Answer, Visit
from rehearsal.players import answers, kinds
from rehearsal.players.jobset import exclusive, making
from rehearsal.players.kinds import Object

_REASONS = (
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "PodFailurePolicy",
)
_RULE_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_RULE_NAME_WORDS = (
    "a failure policy rule name must start with an alphabetic character, optionally followed by a string of "
    "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'"
)
_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_1123_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{_DNS_1123.pattern}')"
)
_LOOSE = ("annotations", "labels")
_LOOSE_SPEC = ("nodeSelector", "tolerations", "schedulingGates")


def program(visit: Visit) -> Answer | None:
    """Answer on the webhooks' port."""
    return answers.serve(
        visit,
        9443,
        answers.CERTIFICATES,
        {
            "/mutate-jobset-x-k8s-io-v1alpha2-jobset": answers.mutating(
                lambda item, _: default(item), kinds.JOB_SET
            ),
            "/validate-jobset-x-k8s-io-v1alpha2-jobset": answers.validating(problems, kinds.JOB_SET),
            "/mutate--v1-pod": answers.mutating(lambda pod, _: exclusive.place(visit.client, pod)),
            "/validate--v1-pod": answers.validating(exclusive.problems),
        },
    )


def default(jobset: Object) -> Object:
    """Fill a JobSet in, and return it."""
    spec = jobset["spec"]
    spec["successPolicy"] = spec.get("successPolicy") or {"operator": "All"}
    spec["startupPolicy"] = spec.get("startupPolicy") or {"startupPolicyOrder": "AnyOrder"}
    for replicated in spec.get("replicatedJobs") or ():
        job = replicated["template"]["spec"]
        job["completionMode"] = job.get("completionMode") or "Indexed"
        pod = job["template"]["spec"]
        pod["restartPolicy"] = pod.get("restartPolicy") or "OnFailure"
    network = spec["network"] = spec.get("network") or {}
    for field in ("enableDNSHostnames", "publishNotReadyAddresses"):
        network[field] = True if network.get(field) is None else network[field]
    for at, rule in enumerate((spec.get("failurePolicy") or {}).get("rules") or ()):
        rule["name"] = rule.get("name") or f"failurePolicyRule{at}"
    return jobset


def problems(jobset: Object, before: Object | None) -> list[str]:
    """Return what is wrong with a JobSet; one whose name is still to be made has none."""
    jobset = {**jobset, "metadata": {"name": "", **jobset["metadata"]}}
    if before is not None:
        return list(_changed(jobset, before))
    found = list(_created(jobset))
    return ["\n".join(found)] if found else []


def _created(jobset: Object) -> Iterator[str]:
    spec = jobset["spec"]
    jobs = spec.get("replicatedJobs") or []
    if jobs and jobs[0].get("dependsOn") is not None:
        yield "DependsOn can't be set for the first ReplicatedJob"
    yield from _subdomain((spec.get("network") or {}).get("subdomain") or "")
    manager = spec.get("managedBy")
    if manager is not None and not all(manager.partition("/")):
        problem = 'must be a domain-prefixed path (such as "acme.io/foo")'
        yield answers.invalid("spec.managedBy", manager, problem)
    names: list[str] = []
    for at, replicated in enumerate(jobs):
        names.append(replicated["name"])
        yield from _names(jobset, replicated, at)
        for each in replicated.get("dependsOn") or ():
            if each["name"] not in names:
                yield f"replicatedJob: {replicated['name']} cannot depend on replicatedJob: {each['name']}"
    for each in (spec.get("successPolicy") or {}).get("targetReplicatedJobs") or ():
        if each not in names:
            yield f"invalid replicatedJob name '{each}' does not appear in .spec.ReplicatedJobs"
    yield from _rules(spec, names)
    yield from _coordinator(spec)


def _subdomain(host: str) -> Iterator[str]:
    path = "spec.network.subdomain"
    if host and not _DNS_1123.fullmatch(host):
        yield answers.invalid(path, host, _DNS_1123_WORDS)
    if host and (problem := answers.name_problem(host)):
        if "no more than 63" in problem:
            problem = f".{path} is too long, must be less than 63 characters"
        yield answers.invalid(path, host, problem)


def _names(jobset: Object, replicated: Object, at: int) -> Iterator[str]:
    path = f"spec.replicatedJobs[{at}]"
    group = replicated.get("groupName") or "default"
    if problem := answers.name_problem(group):
        yield answers.invalid(f"{path}.groupName", group, problem)
    longest = making.job_name(jobset, replicated, max(making.replicas(replicated) - 1, 0))
    made, job = {"job": longest}, replicated["template"]["spec"]
    if job.get("completionMode") == "Indexed" and job.get("completions"):
        made["pod"] = f"{longest}-{job['completions'] - 1}-abcde"
    for which, name in made.items():
        problem = answers.name_problem(name)
        if "no more than 63" in problem:
            long = f"JobSet name is too long, {which} names generated for this JobSet"
            problem = f"{long} will exceed 63 characters"
        if problem:
            yield answers.invalid(f"{path}.name", longest, problem)


def _rules(spec: Object, names: list[str]) -> Iterator[str]:
    seen: dict[str, list[int]] = {}
    rules: list[Object] = (spec.get("failurePolicy") or {}).get("rules") or []
    for at, rule in enumerate(rules):
        name = rule.get("name", "")
        if len(name) > 128:
            longest = "the rule name must be at least 1 characters long and at most 128 characters long"
            yield f"invalid failure policy rule name of length {len(name)}, {longest}"
        if not _RULE_NAME.fullmatch(name):
            yield f"invalid failure policy rule name '{name}', {_RULE_NAME_WORDS}"
        seen.setdefault(name, []).append(at)
        for each in rule.get("targetReplicatedJobs") or ():
            if each not in names:
                where = "does not appear in .spec.ReplicatedJobs"
                yield f"invalid replicatedJob name '{each}' in failure policy {where}"
        for each in rule.get("onJobFailureReasons") or ():
            if each not in _REASONS:
                known = "is not a recognized job failure reason"
                yield f"invalid job failure reason '{each}' in failure policy {known}"
    for name, places in seen.items():
        if len(places) > 1:
            which = f"rules with indices [{' '.join(map(str, places))}]"
            yield f"rule names are not unique, {which} all have the same name '{name}'"


def _coordinator(spec: Object) -> Iterator[str]:
    said = spec.get("coordinator")
    if said is None:
        return
    found = [each for each in spec["replicatedJobs"] if each["name"] == said["replicatedJob"]]
    if not found:
        yield f"coordinator replicatedJob {said['replicatedJob']} does not exist"
        return
    job, pod = said.get("jobIndex", 0), said.get("podIndex", 0)
    template, name = found[0]["template"]["spec"], said["replicatedJob"]
    if not 0 <= job < making.replicas(found[0]):
        yield f"coordinator job index {job} is invalid for replicatedJob {name}"
    elif template.get("completionMode") != "Indexed" or template.get("completions") is None:
        yield "job for coordinator pod must be indexed completion mode, and completions number must be set"
    elif not 0 <= pod < template["completions"]:
        yield f"coordinator pod index {pod} is invalid for replicatedJob {name} job index {job}"


def _changed(jobset: Object, before: Object) -> Iterator[str]:
    spec, old = jobset["spec"], before["spec"]
    same = functools.partial(_fixed, loose=bool(spec.get("suspend") or old.get("suspend")))
    if same(spec.get("replicatedJobs")) != same(old.get("replicatedJobs")):
        yield answers.invalid("spec.replicatedJobs", spec.get("replicatedJobs"), "field is immutable")
    if spec.get("managedBy") != old.get("managedBy"):
        yield answers.invalid("spec.managedBy", spec.get("managedBy"), "field is immutable")


def _fixed(jobs: list[Object] | None, *, loose: bool) -> list[Object]:
    """Return of replicated jobs what must not change."""
    if not loose:
        return jobs or []
    found = []
    for each in jobs or []:
        template = each["template"]["spec"]["template"]
        metadata = {
            key: value for key, value in (template.get("metadata") or {}).items() if key not in _LOOSE
        }
        pod = {key: value for key, value in template["spec"].items() if key not in _LOOSE_SPEC}
        job = {**each["template"]["spec"], "template": {"metadata": metadata, "spec": pod}}
        found.append({**each, "template": {**each["template"], "spec": job}})
    return found
