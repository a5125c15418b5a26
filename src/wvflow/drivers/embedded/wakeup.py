"""Wake-up calls between processes: a datagram to the owner's loopback port. Losing one costs at most a second."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._heard()


async def listen(heard: Callable[[], None]) -> tuple[asyncio.DatagramTransport | None, int]:
    """Have ``heard`` called at each wake-up call; the port to send them to, 0 where loopback is not to be had."""
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: _Ear(heard), local_addr=("127.0.0.1", 0))
    except OSError:
        return None, 0
    return transport, transport.get_extra_info("sockname")[1]


def ring(port: int) -> None:
    """Wake the owner that listens there; nothing is said when nobody does."""
    if not port:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        try:
            line.sendto(b"wake", ("127.0.0.1", port))
        except OSError:
            return
