"""The `juju` and `juju-exec` programs: they send the command line to the server and print its answer.

Every command runs this file by its path, so it avoids imports that load slowly: json, socket, signal and
pathlib. `server.py` describes the frames.
"""

import _socket
import os
import sys


def main() -> int:
    """Send the command line, obey the server's frames, and return the exit status."""
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        channel.connect(os.environ.get("REHEARSAL_SOCKET", ""))
    except OSError:
        return _failure("no rehearsal is running: start one with `rehearse`")
    kept = ("JUJU_MODEL", "JUJU_SKIP_CONFIRMATION", "JUJU_STATUS_ISO_TIME", "REHEARSAL_MODEL")
    request = {
        "program": sys.argv[1].rpartition("/")[2],
        "argv": sys.argv[2:],
        "cwd": os.getcwd(),  # noqa: PTH109
        "environment": {key: os.environ[key] for key in kept if key in os.environ},
        "terminal": os.isatty(1),
    }
    # ascii() also carries words that are not UTF-8.
    _send(channel, ascii(request).encode())
    while header := _receive(channel, 5):
        kind, content = header[:1], _receive(channel, int.from_bytes(header[1:], "big"))
        if kind == b"x":
            return content[0]
        if kind == b"?":
            _send(channel, _typed(whole=content == b"all"))
        else:
            _write(1 if kind == b"o" else 2, content)
    return _failure("the rehearsal has gone away")


def _send(channel: _socket.socket, content: bytes) -> None:
    channel.sendall(len(content).to_bytes(4, "big") + content)


def _receive(channel: _socket.socket, length: int) -> bytes:
    """Return `length` bytes; no bytes if the server is gone."""
    content = b""
    while len(content) < length:
        part = channel.recv(length - len(content))
        if not part:
            return b""
        content += part
    return content


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _typed(*, whole: bool) -> bytes:
    """Return all of standard input, or one line of it."""
    content = b""
    while part := os.read(0, 1 << 16 if whole else 1):
        content += part
        if not whole and part == b"\n":
            break
    return content


def _failure(message: str) -> int:
    _write(2, f"ERROR {message}\n".encode())
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
