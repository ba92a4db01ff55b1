"""Show the process of a charm what the pod of a unit has: its service account's files, and Pebble's sockets.

Python imports this before the charm, from its path. The files and sockets are in folders of the rehearsal's;
nothing is written to the machine's own /var/run or /charm. It must run on every Python that a charm may have,
so from 3.8 on.
"""

import builtins
import io
import os
import socket
import ssl

_PLACES = tuple(f"{top}/secrets/kubernetes.io/serviceaccount" for top in ("/var/run", "/run"))
_FOLDER = os.environ.get("REHEARSAL_SERVICE_ACCOUNT", "")
_PEBBLE = os.environ.get("REHEARSAL_PEBBLE", "")
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


if _PEBBLE:
    _connect = socket.socket.connect

    def _connected(self, address):
        if isinstance(address, str) and address.startswith(_CONTAINERS) and address.endswith(_SOCKET):
            address = _PEBBLE + "." + address[len(_CONTAINERS) : -len(_SOCKET)]
        return _connect(self, address)

    socket.socket.connect = _connected
