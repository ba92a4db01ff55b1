"""The processes and files of all applications: one host for each version of an application's charm."""

from __future__ import annotations

import os
import shutil
import threading
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import yaml

from rehearsal.juju.charm_process import hook_tools, oci_images
from rehearsal.juju.charm_process.host import STORAGE, Host
from rehearsal.juju.charm_process.zygote import Zygote
from rehearsal.juju.model.state import Application, Model, Unit
from rehearsal.juju.model.storage import StorageInstance


def service_account(kubeconfig: Path) -> dict[str, str]:
    """Return the variables by which a process in a pod finds the API server, as a kubeconfig names it."""
    if not kubeconfig.exists():  # a model without a cluster
        return {}
    server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    url = urllib.parse.urlsplit(server)
    return {
        "KUBERNETES_SERVICE_HOST": url.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(url.port or 443),
        "REHEARSAL_SERVICE_ACCOUNT": str(kubeconfig.with_name("serviceaccount")),
    }


class Hosts:
    """Starts and ends hosts.

    Args:
        folder: holds the applications' scratch folders and logs.
        zygote: the process that forks the workers.
        path: the first entry of charms' PATH.
        environment: further variables of charms' processes.
    """

    def __init__(self, folder: Path, zygote: Zygote, path: Path | None, environment: Mapping[str, str]):
        self._folder = folder
        self._zygote = zygote
        self._path = path
        self._environment = environment
        self._hosts: dict[tuple[str, str, int], Host] = {}

    def start(self, model: Model, application: Application) -> None:
        """Start a host for the present charm; units stay in the old host until they are renewed."""
        kubeconfig = self.kubeconfig(model, application)
        environment = dict(self._environment) | {"KUBECONFIG": str(kubeconfig)}
        if application.charm.dispatched:
            environment |= service_account(kubeconfig)
        if self._path is not None:
            environment["PATH"] = f"{self._path}{os.pathsep}{os.environ['PATH']}"
        version = application.charm_version
        host = Host(
            self._application(model, application) / str(version),
            self._zygote,
            application.charm,
            environment,
            hook_tools.folder(self._folder) if application.charm.dispatched else None,
        )
        self._hosts[model.name, application.name, version] = host
        host.start()

    def of(self, model: Model, unit: Unit) -> Host:
        """Return the host that runs a unit's hooks."""
        return self._hosts[model.name, unit.application, unit.code]

    def prune(self, model: Model, application: Application) -> None:
        """End the hosts of charm versions that no unit runs any more."""
        needed = {unit.code for unit in application.units.values()} | {application.charm_version}
        self._end(model, application, needed)

    def remove(self, model: Model, application: Application) -> None:
        """End all hosts of an application."""
        self._end(model, application, set())

    def stop(self) -> None:
        """End all hosts; return when they are gone."""
        ending = [threading.Thread(target=host.stop) for host in self._hosts.values()]
        for each in ending:
            each.start()
        for each in ending:
            each.join()
        self._hosts.clear()

    def kubeconfig(self, model: Model, application: Application) -> Path:
        """Return the path of the kubeconfig for an application's service account."""
        return self._application(model, application) / "kubeconfig"

    def resource(self, model: Model, application: Application, name: str) -> Path:
        """Return the path of a resource's file as the charm gets it."""
        return self._application(model, application) / "resources" / name

    def delete_storage(self, model: Model, instance: StorageInstance) -> None:
        """Delete what is in a unit's storage."""
        folder = self._folder / model.name / instance.application / STORAGE
        shutil.rmtree(folder / instance.id.replace("/", "-"), ignore_errors=True)

    def write_resources(self, model: Model, application: Application, given: Mapping[str, str]) -> None:
        """Store the given resources; others keep their value, or get the charm's `upstream-source`."""
        for name, spec in application.charm.resources.items():
            file = self.resource(model, application, name)
            value = given.get(name) or spec.upstream_source
            if not value or (name in application.resources and name not in given):
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            if spec.type == "oci-image":
                image = oci_images.described(value)
                file.write_text(yaml.safe_dump(image))
                value = image["registrypath"]
            else:
                file.write_bytes(Path(value).read_bytes())
            application.resources[name] = value

    def _end(self, model: Model, application: Application, needed: set[int]) -> None:
        for key in [key for key in self._hosts if key[:2] == (model.name, application.name)]:
            if key[2] not in needed:
                # A host may take seconds to end; nobody waits for it.
                threading.Thread(target=self._hosts.pop(key).stop, daemon=True).start()

    def _application(self, model: Model, application: Application) -> Path:
        return self._folder / model.name / application.name
