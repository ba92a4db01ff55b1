"""Pass connections from the node's network to this machine's, where the API server listens, or the other way.

Run as `python -m rehearsal.node.relay PID WAY...`; a WAY is `in:HOST:PORT=HOST:PORT`, listening in the
network of the process PID and connecting here, or `out:...`, listening here and connecting there.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable

from rehearsal.node.namespace import Network

_CHUNK = 1 << 16
Maker = Callable[[], socket.socket]


def main(pid: int, ways: list[str]) -> None:
    """Relay until the process is ended."""
    asyncio.run(_relay(Network(pid), ways))


async def _relay(network: Network, ways: list[str]) -> None:
    servers = []
    for way in ways:
        direction, _, rest = way.partition(":")
        here, there = map(_address, rest.split("="))
        makers: tuple[Maker, Maker] = (socket.socket, network.socket)
        listening, connecting = reversed(makers) if direction == "in" else makers
        listener = listening()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(here)
        servers.append(await asyncio.start_server(_passing(connecting, there), sock=listener))
    await asyncio.gather(*(server.serve_forever() for server in servers))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _passing(
    maker: Maker, there: tuple[str, int]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return what connects each caller to an address."""

    async def passing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = maker()
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, there)
            far_reader, far_writer = await asyncio.open_connection(sock=connection)
        except OSError:
            connection.close()
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        for each in (writer, far_writer):
            each.close()

    return passing


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, and then that nothing more comes."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
