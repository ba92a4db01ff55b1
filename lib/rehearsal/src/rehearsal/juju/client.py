"""`juju` and `juju-exec`: they pass what was typed to the rehearsal's server and print its answer.

Standard library only, since it starts for every command: run by its path.
"""

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Send the command line, stream the answer; return the exit status."""
    path = os.environ.get("REHEARSAL_SOCKET", "")
    channel = socket.socket(socket.AF_UNIX)
    try:
        channel.connect(path)
    except OSError:
        print("ERROR no rehearsal is running: start one with `rehearse`", file=sys.stderr)
        return 1
    kept = ("JUJU_MODEL", "REHEARSAL_MODEL", "COLUMNS")
    request = {
        "program": os.path.basename(sys.argv[1]),  # noqa: PTH119 (pathlib takes 20 ms to import)
        "argv": sys.argv[2:],
        "cwd": os.getcwd(),  # noqa: PTH109
        "environment": {key: os.environ[key] for key in kept if key in os.environ},
        "terminal": sys.stdout.isatty(),
        "stdin": "" if sys.stdin is None or sys.stdin.isatty() else _piped(),
    }
    channel.sendall(json.dumps(request).encode() + b"\n")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for line in channel.makefile():
        said = json.loads(line)
        if "exit" in said:
            return said["exit"]
        stream = sys.stdout if said["stream"] == "out" else sys.stderr
        stream.write(said["text"])
        stream.flush()
    print("ERROR the rehearsal has gone away", file=sys.stderr)
    return 1


def _piped() -> str:
    """Return standard input if a command reads it: `-` among its words."""
    return sys.stdin.read() if "-" in sys.argv else ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.exit(141)
