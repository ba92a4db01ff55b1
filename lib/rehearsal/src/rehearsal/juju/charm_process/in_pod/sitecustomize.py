"""Show the process of a charm the files of its service account, where the pod of a unit has them.

Python imports this before the charm, from its path. The files are in a folder of the rehearsal's; nothing is
written to the machine's own /var/run. It must run on every Python that a charm may have, so from 3.8 on.
"""

import builtins
import io
import os
import ssl

_PLACES = tuple(f"{top}/secrets/kubernetes.io/serviceaccount" for top in ("/var/run", "/run"))
_FOLDER = os.environ.get("REHEARSAL_SERVICE_ACCOUNT", "")


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
