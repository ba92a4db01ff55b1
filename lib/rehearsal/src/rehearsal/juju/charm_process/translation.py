"""Translate a hook's input from plain data to ops-scenario's State, and its results back."""

from __future__ import annotations

import datetime
from typing import Any

import ops
from ops import pebble, testing

from rehearsal.juju.charm_process.backend import Backend

_PORTS = {"tcp": testing.TCPPort, "udp": testing.UDPPort}


def given(request: dict[str, Any]) -> testing.State:
    """Return the State at the start of a hook."""
    ports = [port.split("/") for port in request["ports"]]
    return testing.State(
        leader=request["leader"],
        config=request["config"],
        relations=[_relation(said) for said in request["relations"]],
        secrets=[_secret(said) for said in request["secrets"]],
        networks=[_network(name, request["address"]) for name in ("juju-info", *request["endpoints"])],
        resources=[testing.Resource(name=name, path=path) for name, path in request["resources"].items()],
        containers=[
            _container(name, said, request["mounts"][name]) for name, said in request["containers"].items()
        ],
        storages=[testing.Storage(said["name"], index=said["index"]) for said in request["storage"]],
        model=testing.Model(name=request["model"]["name"], uuid=request["model"]["uuid"], type="kubernetes"),
        planned_units=request["planned_units"],
        opened_ports=[_PORTS[protocol](int(number)) for number, protocol in ports],
        unit_status=_status(*request["unit_status"]),
        app_status=_status(*request["application_status"]),
        workload_version=request["workload_version"],
    )


def left(request: dict[str, Any], after: testing.State, backend: Backend) -> dict[str, Any]:
    """Return a hook's changes as plain data; None stands for unchanged parts."""
    before = {said["id"]: said for said in request["relations"]}
    return {
        "relations": {
            relation.id: {
                "application": _changed(
                    before[relation.id]["local_application_data"], relation.local_app_data
                ),
                "unit": _changed(before[relation.id]["local_unit_data"], relation.local_unit_data),
            }
            for relation in after.relations
        },
        "secrets": _secrets_left(request, after, backend),
        "kept": backend.kept,
        "workloads": {each.name: _workload(each) for each in after.containers},
        "ports": sorted(f"{port.port}/{port.protocol}" for port in after.opened_ports),
    }


def results(said: Any) -> Any:
    """Return an action's results in Juju's form, where every leaf is text."""
    if isinstance(said, dict):
        return {str(key): results(value) for key, value in said.items()}
    return str(said)


def _changed(before: dict[str, str], after: Any) -> dict[str, str] | None:
    return None if dict(after) == before else dict(after)


def _status(name: str, message: str) -> Any:
    if name in ("active", "blocked", "maintenance", "waiting"):
        return testing.__dict__[f"{name.title()}Status"](message)
    return testing.UnknownStatus()


def _network(endpoint: str, address: str) -> testing.Network:
    return testing.Network(
        endpoint,
        [testing.BindAddress([testing.Address(address)], interface_name="eth0")],
        ingress_addresses=[address],
        egress_subnets=[f"{address}/32"],
    )


def _container(name: str, said: dict[str, Any], mounts: list[tuple[str, str]]) -> testing.Container:
    return testing.Container(
        name,
        mounts={
            str(number): testing.Mount(location=location, source=source)
            for number, (location, source) in enumerate(mounts)
        },
        can_connect=said["ready"],
        execs={
            testing.Exec(
                answer["command"],
                return_code=answer["exit"],
                stdout=answer["stdout"],
                stderr=answer["stderr"],
            )
            for answer in said["exec"]
        },
        layers={label: pebble.Layer(layer) for label, layer in said["layers"].items()},
        service_statuses={
            service: pebble.ServiceStatus(state) for service, state in said["services"].items()
        },
    )


def _workload(container: testing.Container) -> dict[str, Any]:
    """Return what Pebble knows in a container after a hook."""
    return {
        "layers": {label: layer.to_dict() for label, layer in container.layers.items()},
        "services": {name: state.value for name, state in container.service_statuses.items()},
    }


def _relation(said: dict[str, Any]) -> Any:
    common = {
        "endpoint": said["endpoint"],
        "interface": said["interface"],
        "id": said["id"],
        "local_app_data": said["local_application_data"],
        "local_unit_data": said["local_unit_data"],
    }
    if said["peer"]:
        return testing.PeerRelation(**common, peers_data=said["remote_unit_data"])
    return testing.Relation(
        **common,
        remote_app_name=said["remote_application"],
        remote_app_data=said["remote_application_data"],
        remote_units_data=said["remote_unit_data"],
    )


def _secret(said: dict[str, Any]) -> testing.Secret:
    (tracked, content), (latest, newest) = said["tracked"], said["latest"]
    secret = testing.Secret(
        content,
        latest_content=newest,
        id=said["uri"],
        owner=said["owner"],
        label=said["label"],
        description=said["description"],
        expire=said["expire"],
        rotate=ops.SecretRotate(said["rotate"]) if said["rotate"] else None,
        remote_grants=said["grants"],
    )
    # ops-scenario numbers revisions from one in every State; here secrets have a history.
    object.__setattr__(secret, "_tracked_revision", tracked)
    object.__setattr__(secret, "_latest_revision", latest)
    return secret


def _secrets_left(request: dict[str, Any], after: testing.State, backend: Backend) -> dict[str, Any]:
    before = {said["id"]: said for said in request["secrets"]}
    now = {_bare(secret.id): secret for secret in after.secrets}
    # A standby unit reads its application's secrets, but only the leader changes them.
    mine = [each for each in now.values() if each.owner == "unit" or (each.owner and request["leader"])]
    documents = {_bare(secret.id): _document(secret) for secret in mine}
    return {
        "added": [said for id, said in documents.items() if id not in before],
        "changed": [
            said for id, said in documents.items() if id in before and said != _document(_secret(before[id]))
        ],
        "removed": [id for id in before if id not in now],
        "removed_revisions": [(_bare(id), revision) for id, revision in backend.removed_revisions],
        "read": {_bare(id): tracked for id, tracked in backend.read.items()},
    }


def _document(secret: testing.Secret) -> dict[str, Any]:
    """Return a secret as its owner describes it, as plain data."""
    rotate = secret.rotate.value if secret.rotate else ""
    return {
        "id": _bare(secret.id),
        "owner": secret.owner,
        "label": secret.label,
        "description": secret.description,
        "content": dict(secret.latest_content or {}),
        "expire": _moment(secret.expire),
        "rotate": "" if rotate == "never" else rotate,
        "grants": {relation: sorted(names) for relation, names in secret.remote_grants.items()},
    }


def _moment(at: datetime.datetime | None) -> datetime.datetime | None:
    """Return a time in UTC; charms give local times without a zone, or times with one."""
    return at.astimezone(datetime.UTC) if at is not None else None


def _bare(uri: str) -> str:
    return uri.rpartition("/")[2].removeprefix("secret:")
