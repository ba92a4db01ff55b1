"""Show the process of a charm what the pod of a unit has: its service account's files, and Pebble's sockets.

Names lead to the object stores that the rehearsal plays, as they do in charms that it has imported.

Python imports this before the charm, from its path. The files and sockets are in folders of the rehearsal's;
nothing is written to the machine's own /var/run or /charm. It must run on every Python that a charm may have,
so from 3.8 on.
"""

import builtins
import io
import os
import runpy
import socket
import ssl
from pathlib import Path

_PLACES = tuple(f"{top}/secrets/kubernetes.io/serviceaccount" for top in ("/var/run", "/run"))
_FOLDER = os.environ.get("REHEARSAL_SERVICE_ACCOUNT", "")
_PEBBLE = os.environ.get("REHEARSAL_PEBBLE", "")
_NAMES = Path(__file__).parents[3] / "network" / "names.py"
_CONTAINERS, _SOCKET = "/charm/containers/", "/pebble.socket"


def _led(path):
    """Return the path of the rehearsal's file for one of the pod's."""
    try:
        said = os.fspath(path)
    except TypeError:
        return path
    if isinstance(said, str):
        for place in _PLACES:
            if said == place or said.startswith(f"{place}/"):
                return _FOLDER + said[len(place) :]
    return path


def _lead(function):
    def led(path, *arguments, **named):
        return function(_led(path), *arguments, **named)

    return led


if _FOLDER:
    builtins.open = io.open = _lead(io.open)
    os.stat = _lead(os.stat)
    os.listdir = (lambda listing: lambda path=".": listing(_led(path)))(os.listdir)
    _verify = ssl.SSLContext.load_verify_locations
    ssl.SSLContext.load_verify_locations = lambda self, cafile=None, capath=None, cadata=None: _verify(
        self, _led(cafile) if cafile else None, capath, cadata
    )


if os.environ.get("REHEARSAL_STORES"):
    _names = runpy.run_path(str(_NAMES))
    socket.getaddrinfo = _names["leading_to"](int(os.environ["REHEARSAL_STORES"]))

if _PEBBLE:
    _connect = socket.socket.connect

    def _connected(self, address):
        if isinstance(address, str) and address.startswith(_CONTAINERS) and address.endswith(_SOCKET):
            address = _PEBBLE + "." + address[len(_CONTAINERS) : -len(_SOCKET)]
        return _connect(self, address)

    socket.socket.connect = _connected
