"""The Jobs of a JobSet, with the labels by which they are told apart.

kubernetes-sigs/jobset v0.10.1, pkg/controllers/jobset_controller.go and api/jobset/v1alpha2/jobset_types.go.
"""

from __future__ import annotations

import copy
import hashlib
from typing import Any

from rehearsal.players import kinds
from rehearsal.players.jobset import exclusive
from rehearsal.players.kinds import Object

PREFIX = "jobset.sigs.k8s.io/"
NAME, REPLICATED, RESTARTS = f"{PREFIX}jobset-name", f"{PREFIX}replicatedjob-name", f"{PREFIX}restart-attempt"


def job_name(jobset: Object, replicated: Object, index: int) -> str:
    """Return the name of a Job."""
    return f"{jobset['metadata']['name']}-{replicated['name']}-{index}"


def subdomain(jobset: Object) -> str:
    """Return the name of the Service by which the pods find each other; empty if they need not."""
    network = jobset["spec"].get("network") or {}
    if not network.get("enableDNSHostnames"):
        return ""
    return network.get("subdomain") or jobset["metadata"]["name"]


def service(jobset: Object) -> Object:
    """Return that Service."""
    metadata = jobset["metadata"]
    network = jobset["spec"]["network"]
    published = network.get("publishNotReadyAddresses")
    return {
        "metadata": {
            "name": subdomain(jobset),
            "namespace": metadata["namespace"],
            "ownerReferences": [kinds.reference(kinds.JOB_SET, jobset)],
        },
        "spec": {
            "clusterIP": "None",
            "selector": {NAME: metadata["name"]},
            "publishNotReadyAddresses": True if published is None else published,
        },
    }


def job(jobset: Object, replicated: Object, index: int) -> Object:
    """Return a Job."""
    template = copy.deepcopy(replicated["template"])
    spec = template["spec"]
    said = template.get("metadata") or {}
    marks = _marks(jobset, replicated, index)
    pod = spec["template"]
    pod["metadata"] = _marked(pod.get("metadata") or {}, marks, jobset, replicated)
    if host := subdomain(jobset):
        pod["spec"]["subdomain"] = host
    spec["suspend"] = bool(jobset["spec"].get("suspend"))
    metadata = _marked(said, marks, jobset, replicated)
    if {exclusive.TOPOLOGY, exclusive.SELECTED} <= metadata["annotations"].keys():
        exclusive.select(pod, jobset["metadata"]["namespace"], job_name(jobset, replicated, index))
    metadata |= {
        "name": job_name(jobset, replicated, index),
        "namespace": jobset["metadata"]["namespace"],
        "ownerReferences": [kinds.reference(kinds.JOB_SET, jobset)],
    }
    return {"metadata": metadata, "spec": spec}


def resumed(job: Object, template: Object) -> Object:
    """Return a suspended Job to go on with what its JobSet's template says of pods by now."""
    pod = copy.deepcopy(job["spec"]["template"])
    for field in ("labels", "annotations"):
        more = (template.get("metadata") or {}).get(field)
        if more:
            pod["metadata"][field] = {**(pod["metadata"].get(field) or {}), **more}
    spec, said = pod["spec"], template["spec"]
    if said.get("nodeSelector"):
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **said["nodeSelector"]}
    for field in ("tolerations", "schedulingGates"):
        new = [each for each in said.get(field) or () if each not in (spec.get(field) or ())]
        if new:
            spec[field] = [*(spec.get(field) or ()), *new]
    return {**job, "spec": {**job["spec"], "template": pod, "suspend": False}}


def _marked(said: Object, marks: dict[str, str], jobset: Object, replicated: Object) -> Object:
    """Return labels and annotations with the marks."""
    above: dict[str, Any] = {
        **(jobset["metadata"].get("annotations") or {}),
        **((replicated["template"].get("metadata") or {}).get("annotations") or {}),
    }
    alone = {
        each: above[each]
        for each in (exclusive.TOPOLOGY, exclusive.SELECTED)
        if each in above and exclusive.TOPOLOGY in above
    }
    return {
        "labels": {**(said.get("labels") or {}), **marks},
        "annotations": {**(said.get("annotations") or {}), **marks, **alone},
    }


def _marks(jobset: Object, replicated: Object, index: int) -> dict[str, str]:
    metadata, every = jobset["metadata"], jobset["spec"]["replicatedJobs"]
    group = replicated.get("groupName") or "default"
    mates = [each for each in every if (each.get("groupName") or "default") == group]
    name = f"{metadata['namespace']}/{job_name(jobset, replicated, index)}"
    marks = {
        NAME: metadata["name"],
        f"{PREFIX}jobset-uid": metadata["uid"],
        REPLICATED: replicated["name"],
        RESTARTS: str((jobset.get("status") or {}).get("restarts", 0)),
        f"{PREFIX}replicatedjob-replicas": str(replicas(replicated)),
        f"{PREFIX}global-replicas": str(sum(map(replicas, every))),
        f"{PREFIX}job-index": str(index),
        f"{PREFIX}job-key": hashlib.sha1(name.encode()).hexdigest(),  # noqa: S324 (JobSet's)
        f"{PREFIX}job-global-index": str(_before(every, replicated) + index),
        f"{PREFIX}group-name": group,
        f"{PREFIX}group-replicas": str(sum(map(replicas, mates))),
        f"{PREFIX}job-group-index": str(_before(mates, replicated) + index),
    }
    if coordinator := jobset["spec"].get("coordinator"):
        parts = (coordinator["replicatedJob"], coordinator.get("jobIndex", 0), coordinator.get("podIndex", 0))
        at = "-".join([metadata["name"], *map(str, parts)])
        marks[f"{PREFIX}coordinator"] = f"{at}.{subdomain(jobset)}"
    return marks


def replicas(replicated: Object) -> int:
    """Return how many Jobs a replicated job is."""
    found = replicated.get("replicas")
    return 1 if found is None else found


def _before(jobs: list[Object], replicated: Object) -> int:
    """Return how many Jobs come before those of a replicated job."""
    count = 0
    for each in jobs:
        if each["name"] == replicated["name"]:
            break
        count += replicas(each)
    return count
