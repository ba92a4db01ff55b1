"""`juju storage`, `show-storage`, `remove-storage` and `storage-pools`.

Facts: juju/juju 3.6, cmd/juju/storage (list.go, listformatters.go, show.go, remove.go, poollist.go).
"""

from __future__ import annotations

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, output
from rehearsal.juju.commands.tabular import storage_table, table
from rehearsal.juju.model import status
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.storage import POOL, StorageInstance

_LIST = ("Unit", "Storage ID", "Type", "Pool", "Size", "Status", "Message")
_POOLS = {POOL: {"provider": POOL}, "rootfs": {"provider": "rootfs"}, "tmpfs": {"provider": "tmpfs"}}


@command(
    "storage",
    "list-storage",
    usage="<filesystem|volume> [...]",
    words=(Word("names", many=True),),
    options=(
        output("tabular", "json", "yaml"),
        flag("--filesystem", help="List filesystem storage"),
        flag("--volume", help="List volume storage"),
    ),
)
def storage(call: Call) -> None:
    """Lists storage details."""
    arguments, model = call.arguments, call.model
    if arguments.filesystem and arguments.volume:
        raise JujuError("--filesystem and --volume can not be used together", USAGE)
    if not model.storage:
        call.info("No storage to display.")
        return
    said = status.storage(model, utc=False)
    if arguments.format == "tabular":
        call.out(storage_table(model, _LIST))
        return
    parts = {"filesystem": "filesystems", "volume": "volumes"}
    only = next((parts[name] for name in parts if getattr(arguments, name)), None)
    call.out(document(said if only is None else {only: said[only]}, arguments.format))


@command(
    "show-storage",
    usage="<storage ID> [...]",
    words=(Word("names", "must specify storage id(s)", many=True),),
    options=(output("yaml", "json"),),
)
def show_storage(call: Call) -> None:
    """Shows storage instance information."""
    said = status.storage(call.model, utc=False)["storage"]
    there = [_found(call, name).id for name in call.arguments.names]
    call.out(document({name: said[name] for name in there}, call.arguments.format))


@command(
    "remove-storage",
    usage="<storage> [<storage> ...]",
    words=(Word("names", "remove-storage requires at least one storage ID", many=True),),
    options=(
        flag("--force", help="Remove storage even if it is currently attached"),
        flag("--no-destroy", help="Remove the storage without destroying it"),
    ),
)
def remove_storage(call: Call) -> int:
    """Removes storage from the model."""
    failed = False
    for name in call.arguments.names:
        try:
            instance = _found(call, name)
            if instance.unit:
                # A pod's claim stays as long as the pod.
                raise JujuError(f"storage {name} is attached to unit {instance.unit}: remove the unit first")
            if call.arguments.no_destroy:
                del call.model.storage[instance.id]
            else:
                call.engine.delete_storage(call.model, instance)
        except JujuError as error:
            call.info(f"failed to remove {name}: {error}")
            failed = True
        else:
            call.info(f"removing {name}")
    return int(failed)


def _found(call: Call, name: str) -> StorageInstance:
    if name not in call.model.storage:
        application, sign, number = name.partition("/")
        if not (application and sign and number.isdigit()):
            raise JujuError(f"invalid storage id {name}")
        raise JujuError(f'storage instance "{name}" not found')
    return call.model.storage[name]


@command("storage-pools", "list-storage-pools", options=(output("tabular", "json", "yaml"),))
def storage_pools(call: Call) -> None:
    """List storage pools."""
    if call.arguments.format != "tabular":
        call.out(document(_POOLS, call.arguments.format))
        return
    call.out(table(("Name", "Provider", "Attributes"), [(name, name, "") for name in sorted(_POOLS)]))
