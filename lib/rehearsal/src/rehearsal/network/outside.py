"""Programs outside: instead of being played, the pods of an image are what a program elsewhere says and does.

Such a program is a real controller, say, that a developer runs by hand. Its pods are there, and have nothing
behind them; whoever connects to one of them, as the API server does for a webhook, is led to the program.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from rehearsal.errors import RehearsalError
from rehearsal.network.addresses import Object, Unreachable
from rehearsal.network.playing import image_name


@dataclass(frozen=True)
class Outside:
    """An image whose program runs elsewhere.

    Args:
        image: the last part of its path: whatever the registry.
        address: `HOST`, where each port of the pod is the same port; `HOST:PORT`, for all ports of the pod;
            or `/PATH`, a Unix socket that is told the port in a first line, as a decimal number.
    """

    image: str
    address: str

    @classmethod
    def parse(cls, text: str) -> Outside:
        """Return what `IMAGE=ADDRESS` says.

        Raises:
            RehearsalError: if it says nothing of the kind.
        """
        image, _, address = text.partition("=")
        _, colon, port = address.rpartition(":")
        number = not colon or address.startswith("/") or (port.isdecimal() and 0 < int(port) < 1 << 16)
        if not image or not address or not number or image_name(image) != image:
            raise RehearsalError(f"--outside takes IMAGE=HOST, IMAGE=HOST:PORT or IMAGE=/SOCKET, not {text}")
        return cls(image, address)

    def connect(self, port: int, timeout: float) -> socket.socket:
        """Return a connection to the program, in the place of one to a port of its pod.

        Raises:
            Unreachable: if the program does not listen.
        """
        try:
            if not self.address.startswith("/"):
                host, colon, other = self.address.rpartition(":")
                target = (host.strip("[]"), int(other)) if colon else (other, port)
                return socket.create_connection(target, timeout=timeout)
            with contextlib.ExitStack() as stack:
                made = stack.enter_context(socket.socket(socket.AF_UNIX))
                made.settimeout(timeout)
                made.connect(self.address)
                made.sendall(b"%d\n" % port)
                stack.pop_all()
                return made
        except OSError as error:
            raise Unreachable(f"{self.image} at {self.address}: {error}") from None


def find(outside: Iterable[Outside], pod: Object) -> Outside | None:
    """Return who stands for a pod, if one of its containers has such an image."""
    images = {image_name(container["image"]) for container in pod["spec"]["containers"]}
    return next((each for each in outside if each.image in images), None)
