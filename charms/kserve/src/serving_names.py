"""Names of services that with their profile's are too long for the address of a plain Deployment.

KServe makes the address of a component by a template, `<service>-<component>-<profile>.<domain>`, whose first
part is one label of DNS. Where that has more than 63 characters, it makes nothing at all, and says so in an
event only (kserve v0.16.0, pkg/controller/v1beta1/inferenceservice: controller.go, reconcilers/raw,
reconcilers/ingress/domain.go). So the API server refuses such a service when it is made. Knative makes its
addresses otherwise.
"""

from __future__ import annotations

from kserve_options import KServeOptions

from kubeflow_charm import Manifest
from kubeflow_charm.cluster.resources import VALIDATING_POLICY

NAME = "kserve-names"
"""Of the policy and its binding."""
_LONGEST = 63 - 2
"""Two hyphens are between the three parts."""
_MODE = "serving.kserve.io/deploymentMode"
_PLAIN = ("Standard", "RawDeployment")
"""The modes of plain Deployments; KServe's webhook notes the usual one at a service before policies look."""


def checks(config: KServeOptions) -> list[Manifest]:
    """Return the policy, which Kubernetes has since 1.30, and its binding; nothing for another template."""
    if "domainTemplate" in config.inferenceservice_config.get("ingress", {}):
        return []
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "apiVersions": ["v1beta1"],
        "resources": ["inferenceservices"],
        "operations": ["CREATE"],
    }
    plain = " || ".join(f"object.metadata.annotations['{_MODE}'] == '{mode}'" for mode in _PLAIN)
    noted = f"has(object.metadata.annotations) && '{_MODE}' in object.metadata.annotations && ({plain})"
    component = "has(object.spec.transformer) ? 'transformer' : 'predictor'"
    whole = "object.metadata.name + '-' + variables.component + '-' + request.namespace"
    used = f"size(object.metadata.name) + size(variables.component) + size(request.namespace) <= {_LONGEST}"
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "plain-deployment", "expression": noted}],
        "failurePolicy": "Ignore",
        "variables": [{"name": "component", "expression": component}],
        "validations": [
            {
                "expression": used,
                "messageExpression": f"'metadata.name: the address begins with ' + {whole} + "
                "', which has more than 63 characters: choose a shorter name'",
                "reason": "Invalid",
            }
        ],
    }
    about = {"apiVersion": VALIDATING_POLICY.api_version, "metadata": {"name": NAME}}
    binding = {"policyName": NAME, "validationActions": ["Deny"]}
    return [
        about | {"kind": VALIDATING_POLICY.kind, "spec": spec},
        about | {"kind": f"{VALIDATING_POLICY.kind}Binding", "spec": binding},
    ]
