# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a whole bitmap over NBD and counts its extents: as a backup program does.

Each answer has as much as the server gives.

(`qemu-img map` asks for one extent at a time.) The protocol is that of the NetworkBlockDevice
project's proto.md.
"""

import socket
import struct
from pathlib import Path

from qdb_tools.log import Failure

MAGIC, OPTION = 0x4E42444D41474943, 0x49484156454F5054
OPTION_REPLY, REQUEST, CHUNK = 0x3E889045565A9, 0x25609513, 0x668E33EF
GO, STRUCTURED, META_CONTEXT = 7, 8, 10
ACK, META = 1, 4
BLOCK_STATUS, DISCONNECT = 7, 2
LARGEST = (1 << 32) - (1 << 16)  # bytes of disk in one request


class Client:
    def __init__(self, path: Path, export: str, context: str) -> None:
        self.channel = socket.socket(socket.AF_UNIX)
        self.channel.settimeout(120)
        self.channel.connect(str(path))
        magic, option, _ = struct.unpack(">QQH", self.read(18))
        if (magic, option) != (MAGIC, OPTION):
            raise Failure("no NBD server there")
        self.channel.sendall(struct.pack(">I", 3))
        self.option(STRUCTURED, b"")
        name = struct.pack(">I", len(export)) + export.encode()
        query = name + struct.pack(">II", 1, len(context)) + context.encode()
        if META not in self.option(META_CONTEXT, query):
            raise Failure(f"the server has no {context}")
        self.option(GO, name + struct.pack(">H", 0))

    def read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self.channel.recv(min(length - len(data), 1 << 20))
            if not part:
                raise Failure("the NBD server has gone")
            data += part
        return bytes(data)

    def option(self, number: int, data: bytes) -> list[int]:
        self.channel.sendall(struct.pack(">QII", OPTION, number, len(data)) + data)
        kinds: list[int] = []
        while ACK not in kinds:
            _, _, kind, length = struct.unpack(">QIII", self.read(20))
            text = self.read(length)
            if kind & 1 << 31:
                raise Failure(f"NBD option {number}: {text.decode(errors='replace')}")
            kinds.append(kind)
        return kinds

    def extents(self, size: int) -> int:
        """How many answers with an extent the whole of `size` bytes takes."""
        at = count = 0
        while at < size:
            self.channel.sendall(
                struct.pack(">IHHQQI", REQUEST, 0, BLOCK_STATUS, 0, at, min(size - at, LARGEST))
            )
            data = b""
            done = False
            while not done:
                _, flags, kind, _, length = struct.unpack(">IHHQI", self.read(20))
                payload = self.read(length)
                if kind & 1 << 15:
                    raise Failure(f"NBD: {payload[6:].decode(errors='replace')}")
                data += payload
                done = flags & 1
            lengths = memoryview(data)[4:].cast("B")
            count += len(lengths) // 8
            at += sum(struct.unpack(f">{len(lengths) // 4}I", lengths)[::2])
        return count

    def close(self) -> None:
        self.channel.sendall(struct.pack(">IHHQQI", REQUEST, 0, DISCONNECT, 0, 0, 0))
        self.channel.close()
