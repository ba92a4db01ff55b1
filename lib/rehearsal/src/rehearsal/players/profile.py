"""The profile controller: a namespace for its owner, with accounts, rights, a policy of the mesh and a quota.

kubeflow/kubeflow v1.10.0, components/profile-controller: main.go, controllers/profile_controller.go and
plugin_*.go. Of a plugin, only the annotation on the account is played: there is no cloud that would answer.
"""

from __future__ import annotations

import copy

import yaml

from rehearsal.players import flags, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.program import Program
from rehearsal.players.refusals import Unstartable, logger

FINALIZER = "profile-finalizer"
EDITOR, VIEWER = "default-editor", "default-viewer"

_FLAGS = {
    "metrics-bind-address": ":8080",
    "health-probe-bind-address": ":9876",
    "leader-election-namespace": "",
    "userid-header": "x-goog-authenticated-user-email",
    "userid-prefix": "accounts.google.com:",
    "workload-identity": "",
    "namespace-labels-path": "/etc/profile-controller/namespace-labels.yaml",
}
_SWITCHES = ("leader-elect",)
_WORKLOAD_IDENTITY = "WorkloadIdentity"
_PLUGINS = {
    _WORKLOAD_IDENTITY: ("gcpServiceAccount", "iam.gke.io/gcp-service-account"),
    "AwsIamForServiceAccount": ("awsIamRole", "eks.amazonaws.com/role-arn"),
}
"""Kind of a plugin to the field that names an identity, and the annotation that gives it to an account."""


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    return [_Profiles(program).controller]


class _Profiles:
    def __init__(self, program: Program):
        self._flags = flags.parse(program.settings.words, _FLAGS, _SWITCHES)
        self._variable = program.settings.variable
        self._api = program.api
        self.controller = program.controller(kinds.PROFILE, self._reconcile)
        for kind in (
            kinds.NAMESPACE,
            kinds.AUTHORIZATION_POLICY,
            kinds.SERVICE_ACCOUNT,
            kinds.ROLE_BINDING,
        ):
            self.controller.owns(kind)
        self._follow_labels(program)

    def _follow_labels(self, program: Program) -> None:
        """Look at all profiles again when the file with the namespaces' labels changes."""
        path = self._flags["namespace-labels-path"]
        place = program.settings.config_file(path)
        if place is None:
            raise Unstartable(f"{path}: no such file or directory")
        name, self._labels_key = place
        self._labels_at = (program.settings.namespace, name)
        file = program.kubelet.read(kinds.CONFIG_MAP, self._labels_at)
        if file is None:
            raise Unstartable(f'ConfigMap "{name}" not found')
        if self._labels_key not in file.get("data", {}):
            raise Unstartable(f"{path}: no such file or directory")
        self._labels_file = program.kubelet.follower(
            kinds.CONFIG_MAP, namespace=program.settings.namespace, fields={"metadata.name": name}
        )
        profiles = self._api.follower(kinds.PROFILE)
        self.controller.hears(self._labels_file, lambda _: [kinds.key(each) for each in profiles.items()])

    def _labels(self) -> dict[str, str]:
        """Return the labels of every profile's namespace, by the file; an empty value takes one off."""
        file = self._labels_file.get(self._labels_at) or {}
        # Every scalar is text to a map of strings.
        found = yaml.load(file.get("data", {}).get(self._labels_key, ""), yaml.BaseLoader)  # noqa: S506
        return found or {}

    def _reconcile(self, key: Key) -> None:
        profile = self._api.get(kinds.PROFILE, key)
        if profile is None or not self._keep_namespace(profile):
            return
        name = profile["metadata"]["name"]
        owner = _owner(profile)
        self._keep(profile, kinds.AUTHORIZATION_POLICY, self._policy(profile), "spec")
        for account, role in ((EDITOR, "kubeflow-edit"), (VIEWER, "kubeflow-view")):
            self._keep(profile, kinds.SERVICE_ACCOUNT, _named(account))
            subject = {"kind": "ServiceAccount", "name": account, "namespace": name}
            self._keep_binding(profile, _named(account), role, subject)
        self._keep_binding(
            profile, _named("namespaceAdmin", owner), "kubeflow-admin", profile["spec"]["owner"]
        )
        self._keep_quota(profile)
        profile = self._default_plugins(profile)
        self._give_identities(profile)
        self._keep_finalizer(profile)

    def _keep_namespace(self, profile: Object) -> bool:
        """Make the namespace or put its labels right; return whether it is the owner's."""
        name, owner, labels = profile["metadata"]["name"], _owner(profile), self._labels()
        found = self._api.get(kinds.NAMESPACE, ("", name))
        if found is None:
            wanted = _named(name, annotations={"owner": owner})
            wanted["metadata"]["labels"] = _labelled({"istio-injection": "enabled"}, labels)
            wanted["metadata"]["ownerReferences"] = [kinds.reference(kinds.PROFILE, profile)]
            self._api.create(kinds.NAMESPACE, wanted)
            return True
        if found["metadata"].get("annotations", {}).get("owner") != owner:
            self._fail(profile, f"namespace already exist, but not owned by profile creator {owner}")
            return False
        item = copy.deepcopy(found)
        item["metadata"]["labels"] = _labelled(found["metadata"].get("labels", {}), labels)
        self._api.replace(kinds.NAMESPACE, item, found)
        return True

    def _fail(self, profile: Object, message: str) -> None:
        """Say in the profile what is wrong with it.

        As upstream, by an update of the profile, once more at each attempt: where `status` is a subresource,
        as in upstream's own definition, the server takes the update and leaves the status out.
        """
        condition = {"type": "Failed", "message": message}
        conditions = profile.get("status", {}).get("conditions", [])
        logger.info("profile %s: %s", profile["metadata"]["name"], message)
        item = copy.deepcopy(profile)
        item["status"] = {**profile.get("status", {}), "conditions": [*conditions, condition]}
        self._update(item, profile)

    def _policy(self, profile: Object) -> Object:
        """Return the policy that lets the owner, the namespace's own pods and the platform in."""
        header, prefix = self._flags["userid-header"], self._flags["userid-prefix"]
        gateway = self._variable(
            "ISTIO_INGRESS_GATEWAY_PRINCIPAL",
            "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
        )
        pipelines = self._variable("KFP_UI_PRINCIPAL", "cluster.local/ns/kubeflow/sa/ml-pipeline-ui")
        notebooks = self._variable(
            "NOTEBOOK_CONTROLLER_PRINCIPAL",
            "cluster.local/ns/kubeflow/sa/notebook-controller-service-account",
        )
        owner = _owner(profile)
        return {
            **_named("ns-owner-access-istio", owner),
            # An action of ALLOW is the default, and Istio's own encoding leaves it out.
            "spec": {
                "rules": [
                    {
                        "when": [{"key": f"request.headers[{header}]", "values": [prefix + owner]}],
                        "from": [{"source": {"principals": [gateway, pipelines]}}],
                    },
                    {"when": [{"key": "source.namespace", "values": [profile["metadata"]["name"]]}]},
                    {"to": [{"operation": {"paths": ["/healthz", "/metrics", "/wait-for-drain"]}}]},
                    {
                        "from": [{"source": {"principals": [notebooks]}}],
                        "to": [{"operation": {"methods": ["GET"], "paths": ["*/api/kernels"]}}],
                    },
                ]
            },
        }

    def _keep_binding(self, profile: Object, binding: Object, role: str, subject: Object) -> None:
        wanted = {
            **binding,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        }
        self._keep(profile, kinds.ROLE_BINDING, wanted, "roleRef", "subjects")

    def _keep_quota(self, profile: Object) -> None:
        """Make the quota, or take it away if the profile asks for none."""
        spec = profile["spec"].get("resourceQuotaSpec", {})
        if spec.get("hard"):
            self._keep(profile, kinds.QUOTA, {**_named("kf-resource-quota"), "spec": spec}, "spec")
        elif self._api.get(kinds.QUOTA, (profile["metadata"]["name"], "kf-resource-quota")):
            self._api.delete(kinds.QUOTA, (profile["metadata"]["name"], "kf-resource-quota"))

    def _keep(self, profile: Object, kind: Kind, wanted: Object, *parts: str) -> None:
        """Have an object in the profile's namespace, with these parts as wanted."""
        namespace = profile["metadata"]["name"]
        wanted["metadata"]["namespace"] = namespace
        wanted["metadata"]["ownerReferences"] = [kinds.reference(kinds.PROFILE, profile)]
        live = self._api.get(kind, (namespace, wanted["metadata"]["name"]))
        self._api.keep(
            kind, wanted, live, lambda _, item: item.update({each: wanted[each] for each in parts})
        )

    def _default_plugins(self, profile: Object) -> Object:
        """Give the profile the plugin that all have, if it has no such one; return it as it is."""
        default, plugins = self._flags["workload-identity"], profile["spec"].get("plugins", [])
        if not default or any(each["kind"] == _WORKLOAD_IDENTITY for each in plugins):
            return profile
        plugin = {"kind": _WORKLOAD_IDENTITY, "spec": {"gcpServiceAccount": default}}
        item = copy.deepcopy(profile)
        item["spec"]["plugins"] = [*plugins, plugin]
        return self._update(item, profile)

    def _give_identities(self, profile: Object) -> None:
        """Annotate the editor's account as the plugins say."""
        for plugin in profile["spec"].get("plugins", []):
            if plugin.get("kind") not in _PLUGINS:
                continue
            field, annotation = _PLUGINS[plugin["kind"]]
            account = self._api.get(kinds.SERVICE_ACCOUNT, (profile["metadata"]["name"], EDITOR))
            if account is None:
                raise LookupError(f"no service account {EDITOR} yet")
            item = copy.deepcopy(account)
            item["metadata"].setdefault("annotations", {})[annotation] = plugin.get("spec", {}).get(field, "")
            self._api.replace(kinds.SERVICE_ACCOUNT, item, account)

    def _keep_finalizer(self, profile: Object) -> None:
        """Hold a profile until all of it has been put right once more; let go one that is deleted."""
        deleted = "deletionTimestamp" in profile["metadata"]
        finalizers = profile["metadata"].get("finalizers", [])
        if deleted != (FINALIZER in finalizers):
            return
        item = copy.deepcopy(profile)
        rest = [each for each in finalizers if each != FINALIZER]
        item["metadata"]["finalizers"] = rest if deleted else [*finalizers, FINALIZER]
        self._update(item, profile)

    def _update(self, item: Object, profile: Object) -> Object:
        """Write a profile; return it as it is.

        To Go, `resourceQuotaSpec` is a struct and no pointer: every update writes it, if only as `{}`
        (api/v1/profile_types.go).
        """
        item["spec"].setdefault("resourceQuotaSpec", {})
        return self._api.replace(kinds.PROFILE, item, profile)


def _owner(profile: Object) -> str:
    return profile["spec"].get("owner", {}).get("name", "")


def _named(name: str, admin: str | None = None, annotations: dict[str, str] | None = None) -> Object:
    """Return the beginning of an object; `admin` is who administers the namespace by it."""
    metadata: Object = {"name": name}
    if admin is not None:
        annotations = {"user": admin, "role": "admin"}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata}


def _labelled(labels: dict[str, str], defaults: dict[str, str]) -> dict[str, str]:
    """Return labels with those added that are not there, and those taken off whose default is empty."""
    kept = {name: value for name, value in labels.items() if defaults.get(name, value)}
    return {name: value for name, value in defaults.items() if value} | kept
