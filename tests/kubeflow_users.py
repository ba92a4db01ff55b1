"""Users of the platform, who have what their profile gives them and nothing more; and the web app's ways.

A user's requests are made by impersonation: the API server asks for the user's rights, not for those of the
administrator behind it.
"""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Callable
from typing import Any

import yaml

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Connection, ExistingCluster, Refused
from rehearsal.patience import until

NOTEBOOK_API = "kubeflow.org/v1beta1"


class Requests:
    """Requests to the API server as somebody.

    Args:
        cluster: the cluster.
        user: whom to be; the administrator if empty.
    """

    def __init__(self, cluster: ControlPlane | ExistingCluster, user: str = ""):
        headers = {"Authorization": f"Bearer {cluster.token}"}
        if user:
            headers |= {"Impersonate-User": user, "Impersonate-Group": "system:authenticated"}
        self.user = user
        self._connection = Connection(cluster.url, cluster.tls(), headers)

    def get(self, path: str) -> Manifest:
        """Return an object or a list; raises `existing.Refused`."""
        return json.loads(self._connection.send("GET", path, None, "application/json"))

    def find(self, path: str) -> Manifest | None:
        """Return an object, or None if there is none; raises `existing.Refused` for any other refusal."""
        try:
            return self.get(path)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            return None

    def items(self, path: str) -> list[Manifest]:
        """Return the items of a list."""
        return self.get(path)["items"]

    def may_list(self, path: str) -> bool:
        """Whether the user may; raises `existing.Refused` for any refusal but a missing right."""
        try:
            self.get(path)
        except Refused as refusal:
            if refusal.status != 403:
                raise
            return False
        return True

    def create(self, path: str, document: Manifest) -> Manifest:
        """Create an object, every field of which must be known; raises `existing.Refused`."""
        separator = "&" if "?" in path else "?"
        body = json.dumps(document).encode()
        where = f"{path}{separator}fieldValidation=Strict"
        return json.loads(self._connection.send("POST", where, body, "application/json"))

    def patch(self, path: str, patch: Manifest) -> Manifest:
        """Merge into an object; raises `existing.Refused`."""
        body = json.dumps(patch).encode()
        return json.loads(self._connection.send("PATCH", path, body, "application/merge-patch+json"))

    def delete(self, path: str) -> None:
        """Delete an object, or a collection; raises `existing.Refused`."""
        self._connection.send("DELETE", path, None, "application/json")

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()


def running(user: Requests, namespace: str, name: str) -> Manifest:
    """Return the pod of a notebook as soon as the notebook says that it runs."""
    path = f"/apis/{NOTEBOOK_API}/namespaces/{namespace}/notebooks/{name}"
    until(lambda: user.get(path).get("status", {}).get("readyReplicas") == 1)
    return user.get(f"/api/v1/namespaces/{namespace}/pods/{name}-0")


def warnings(user: Requests, namespace: str, name: str) -> str:
    """Return why a notebook does not run, as the web app shows it: its events, as soon as there are any."""
    notebook = user.get(f"/apis/{NOTEBOOK_API}/namespaces/{namespace}/notebooks/{name}")
    selected = f"type=Warning,involvedObject.uid={notebook['metadata']['uid']}"
    path = f"/api/v1/namespaces/{namespace}/events?fieldSelector={selected}"
    return " / ".join(event["message"] for event in until(lambda: user.items(path)))


class JupyterWebApp:
    """What the web app for notebooks makes of a filled-in form.

    The frontend fills in what the form has at first and the user does not change (kubeflow/kubeflow v1.10.0,
    components/crud-web-apps/jupyter/frontend/src/app/pages/form/form-new), the backend makes of it claims and
    a Notebook (backend/apps/default/routes/post.py and backend/apps/common/form.py).

    Args:
        mounted: returns the data of a ConfigMap that the web app's pod has mounted, or None if there is none.
    """

    def __init__(self, mounted: Callable[[str], dict[str, str] | None]):
        self._mounted = mounted

    @property
    def form(self) -> dict[str, Any]:
        """The form, with what is chosen at first."""
        data = self._mounted("jupyter-web-app-config")
        assert data is not None
        return yaml.safe_load(data["spawner_ui_config.yaml"])["spawnerFormDefaults"]

    def post(self, user: Requests, namespace: str, name: str, **chosen: Any) -> Manifest:
        """Make a notebook as a user, as `filled` has it."""
        claims, notebook = self.filled(namespace, name, user.user, **chosen)
        notebooks = f"/apis/{NOTEBOOK_API}/namespaces/{namespace}/notebooks"
        user.create(f"{notebooks}?dryRun=All", notebook)
        for claim in claims:
            user.create(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)
        return user.create(notebooks, notebook)

    def filled(
        self, namespace: str, name: str, creator: str, **chosen: Any
    ) -> tuple[list[Manifest], Manifest]:
        """Return the claims and the Notebook.

        Args:
            namespace: of the notebook.
            name: of the notebook.
            creator: who posts the form.
            chosen: field to value, where the user does not leave it as it is at first: `image`, `cpu`,
                `memory`, `num` and `vendor` of GPUs, `affinity`, `tolerations`, `configurations`,
                `workspace`.
        """
        form = self.form
        notebook = self._begun(name, namespace, creator)
        container = notebook["spec"]["template"]["spec"]["containers"][0]
        container["image"] = chosen.get("image", form["image"]["value"])
        container["imagePullPolicy"] = form["imagePullPolicy"]["value"]
        notebook["metadata"]["annotations"]["notebooks.kubeflow.org/server-type"] = "jupyter"
        self._resources(container, form, chosen)
        self._placement(notebook, form, chosen)
        for label in chosen.get("configurations", form["configurations"]["value"]):
            notebook["metadata"]["labels"][label] = "true"
        if form["shm"]["value"]:
            self._mount(notebook, "dshm", "/dev/shm", {"emptyDir": {"medium": "Memory"}})
        workspace = chosen.get("workspace", form["workspaceVolume"]["value"])
        return ([self._claim(notebook, workspace)] if workspace else []), notebook

    def _begun(self, name: str, namespace: str, creator: str) -> Manifest:
        own = self._mounted("jupyter-web-app-notebook-template")
        assert own is not None
        words = {"name": name, "namespace": namespace, "creator": creator, "serviceAccount": "default-editor"}
        return yaml.safe_load(own["notebook_template.yaml"].format(**words))

    @staticmethod
    def _resources(container: Manifest, form: dict[str, Any], chosen: dict[str, Any]) -> None:
        cpu, memory = chosen.get("cpu", form["cpu"]["value"]), chosen.get("memory", form["memory"]["value"])
        gibibytes = float(memory.removesuffix("Gi"))
        limits = {}
        if form["cpu"]["limitFactor"] != "none":
            limits["cpu"] = str(round(float(cpu) * float(form["cpu"]["limitFactor"]), 1))
        if form["memory"]["limitFactor"] != "none":
            limits["memory"] = f"{round(gibibytes * float(form['memory']['limitFactor']), 1)}Gi"
        gpus = form["gpus"]["value"]
        number = chosen.get("num", gpus["num"])
        if number != "none":
            limits[chosen.get("vendor", gpus["vendor"])] = str(number)
        container["resources"] = {"requests": {"cpu": cpu, "memory": memory}, "limits": limits}

    @staticmethod
    def _placement(notebook: Manifest, form: dict[str, Any], chosen: dict[str, Any]) -> None:
        spec = notebook["spec"]["template"]["spec"]
        key = chosen.get("tolerations", form["tolerationGroup"]["value"])
        for group in form["tolerationGroup"]["options"]:
            if group["groupKey"] == key:
                spec["tolerations"] += group["tolerations"]
        key = chosen.get("affinity", form["affinityConfig"]["value"])
        for option in form["affinityConfig"]["options"]:
            if option["configKey"] == key:
                spec["affinity"] = option["affinity"]

    def _claim(self, notebook: Manifest, volume: dict[str, Any]) -> Manifest:
        claim = copy.deepcopy(volume["newPvc"])
        name = claim["metadata"]["name"].replace("{notebook-name}", notebook["metadata"]["name"])
        claim["metadata"]["name"] = name
        self._mount(notebook, name, volume["mount"], {"persistentVolumeClaim": {"claimName": name}})
        return claim

    @staticmethod
    def _mount(notebook: Manifest, name: str, path: str, source: Manifest) -> None:
        spec = notebook["spec"]["template"]["spec"]
        spec["volumes"].append({"name": name, **source})
        spec["containers"][0]["volumeMounts"].append({"name": name, "mountPath": path})


class VolumesWebApp:
    """What the web app for volumes makes of what users click.

    From kubeflow/kubeflow v1.10.0, components/crud-web-apps/volumes/backend/apps: default/routes, common/form.py
    and common/viewer.py.

    Args:
        mounted: returns the data of a ConfigMap that the web app's pod has mounted, or None if there is none.
        viewer_image: the environment variable VOLUME_VIEWER_IMAGE of the web app.
    """

    def __init__(self, mounted: Callable[[str], dict[str, str] | None], viewer_image: str):
        self._mounted = mounted
        self._viewer_image = viewer_image

    def create(self, user: Requests, namespace: str, name: str, size: str = "1Gi") -> Manifest:
        """Make a volume as a user."""
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        claim = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
        return user.create(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)

    def view(self, user: Requests, namespace: str, name: str) -> Manifest:
        """Open a viewer on a volume, which has the volume's name."""
        data = self._mounted("volumes-web-app-viewer-spec")
        assert data is not None
        words = {"NAME": name, "PVC_NAME": name, "NAMESPACE": namespace}
        text = string.Template(data["viewer-spec.yaml"])
        spec = yaml.safe_load(text.substitute(words, VOLUME_VIEWER_IMAGE=self._viewer_image))
        viewer = {
            "apiVersion": "kubeflow.org/v1alpha1",
            "kind": "PVCViewer",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
        return user.create(f"/apis/kubeflow.org/v1alpha1/namespaces/{namespace}/pvcviewers", viewer)

    def delete(self, user: Requests, namespace: str, name: str) -> list[str]:
        """Delete a volume and its viewers, unless other pods use it; return the names of those."""
        others = []
        for pod in user.items(f"/api/v1/namespaces/{namespace}/pods"):
            claims = [volume.get("persistentVolumeClaim", {}) for volume in pod["spec"].get("volumes", [])]
            if name not in (claim.get("claimName") for claim in claims):
                continue
            if viewer := pod["metadata"].get("labels", {}).get("app.kubernetes.io/name"):
                user.delete(f"/apis/kubeflow.org/v1alpha1/namespaces/{namespace}/pvcviewers/{viewer}")
            else:
                others.append(pod["metadata"]["name"])
        if not others:
            user.delete(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
        return others
