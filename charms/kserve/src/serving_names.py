"""Names that with their profile's are too long for the address of a plain Deployment.

KServe makes addresses by a template, `<service>-<component>-<profile>.<domain>` of a component and
`<graph>-<profile>.<domain>` of a graph, whose first part is one label of DNS. Where that has more than 63
characters, it makes nothing at all, and says so in an event or its log only (kserve v0.16.0,
pkg/controller/v1beta1/inferenceservice: controller.go, reconcilers/raw, reconcilers/ingress/domain.go;
pkg/controller/v1alpha1/inferencegraph/raw_ig.go). So the API server refuses such an object when it is made.
Knative makes its addresses otherwise.
"""

from __future__ import annotations

from kserve_options import KServeOptions

from kubeflow_charm import Manifest
from kubeflow_charm.cluster.resources import VALIDATING_POLICY

SERVICES, GRAPHS = "kserve-names", "kserve-graph-names"
"""Of the policies and their bindings."""
_MODE = "serving.kserve.io/deploymentMode"
_PLAIN = ("Standard", "RawDeployment")
"""The modes of plain Deployments; KServe's webhook notes the usual one at a service before policies look."""
_PART = "'-' + (has(object.spec.transformer) ? 'transformer' : 'predictor')"


def checks(config: KServeOptions) -> list[Manifest]:
    """Return the policies, which Kubernetes has since 1.30, and bindings; nothing for another template."""
    if "domainTemplate" in config.inferenceservice_config.get("ingress", {}):
        return []
    noted = f"has(object.metadata.annotations) && '{_MODE}' in object.metadata.annotations"
    words = " || ".join(f"object.metadata.annotations['{_MODE}'] == '{word}'" for word in _PLAIN)
    of_services = f"{noted} && ({words})"
    of_graphs = of_services if config.serverless else f"!({noted}) || {words}"
    return [
        *_policy(SERVICES, "inferenceservices", "v1beta1", of_services, _PART),
        *_policy(GRAPHS, "inferencegraphs", "v1alpha1", of_graphs, "''"),
    ]


def _policy(name: str, resource: str, version: str, plain: str, part: str) -> list[Manifest]:
    """Return a policy for objects of a type that are plain, whose address has a part behind the name."""
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "apiVersions": [version],
        "resources": [resource],
        "operations": ["CREATE"],
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "plain-deployment", "expression": plain}],
        "failurePolicy": "Ignore",
        "variables": [
            {"name": "label", "expression": f"object.metadata.name + {part} + '-' + request.namespace"}
        ],
        "validations": [
            {
                "expression": "size(variables.label) <= 63",
                "messageExpression": "'metadata.name: the address begins with ' + variables.label + "
                "', which has more than 63 characters: choose a shorter name'",
                "reason": "Invalid",
            }
        ],
    }
    about = {"apiVersion": VALIDATING_POLICY.api_version, "metadata": {"name": name}}
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        about | {"kind": VALIDATING_POLICY.kind, "spec": spec},
        about | {"kind": f"{VALIDATING_POLICY.kind}Binding", "spec": binding},
    ]
