# SPDX-License-Identifier: GPL-2.0-or-later
"""A small NBD client: fixed newstyle handshake, simple replies."""
import socket
import struct

OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_GO = 1, 2, 3, 7
REP_ACK, REP_SERVER, REP_INFO = 1, 2, 3
REP_ERR_UNSUP, REP_ERR_INVALID, REP_ERR_UNKNOWN = 0x80000001, 0x80000003, 0x80000006
REQUEST, SIMPLE_REPLY = 0x25609513, 0x67446698
READ, WRITE, DISC, FLUSH = 0, 1, 2, 3


class Refused(Exception):
    """The server answered with an error; its text is the number."""


class Client:
    def __init__(self, connected):
        self.socket = connected
        self.socket.settimeout(20)
        self.cookie = 0
        self.size = None  # bytes, once in the transmission phase
        self.greeted = False
        hello = self.receive(18)
        if hello[:16] != b"NBDMAGICIHAVEOPT" or struct.unpack(">H", hello[16:]) != (3,):
            raise RuntimeError(f"not an NBD server of the fixed newstyle: {hello}")

    @classmethod
    def unix(cls, path):
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(path)
        return cls(connected)

    @classmethod
    def tcp(cls, host, port):
        return cls(socket.create_connection((host, port)))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.size is not None and kind is None:
            try:
                self.socket.sendall(struct.pack(">IHHQQI", REQUEST, 0, DISC, 0, 0, 0))
            except OSError:
                pass  # the server is gone already
        self.socket.close()

    def receive(self, length):
        data = bytearray()
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise RuntimeError(f"the server went away after {len(data)} of {length} bytes")
            data += more
        return bytes(data)

    def greet(self, flags):
        if not self.greeted:
            self.socket.sendall(struct.pack(">I", flags))
            self.greeted = True

    def option(self, number, data):
        """Sends an option; its replies, each (type, data), up to an error or the acknowledgement."""
        self.greet(3)
        self.socket.sendall(b"IHAVEOPT" + struct.pack(">II", number, len(data)) + data)
        replies = []
        while not replies or replies[-1][0] in (REP_SERVER, REP_INFO):
            magic, about, kind, length = struct.unpack(">QIII", self.receive(20))
            if (magic, about) != (0x3e889045565a9, number):
                raise RuntimeError(f"a reply with magic {magic:#x} to option {about}")
            replies.append((kind, self.receive(length)))
        return replies

    def go(self, name):
        replies = self.option(OPT_GO, struct.pack(">I", len(name)) + name.encode() + struct.pack(">H", 0))
        if [kind for kind, _ in replies] != [REP_INFO, REP_ACK]:
            raise RuntimeError(f"replies to NBD_OPT_GO: {replies}")
        self.size = struct.unpack(">HQH", replies[0][1])[1]

    def list(self):
        replies = self.option(OPT_LIST, b"")
        return [data[4:4 + struct.unpack(">I", data[:4])[0]].decode() for kind, data in replies if kind == REP_SERVER]

    def export_name(self, name, zeroes):
        self.greet(1 if zeroes else 3)
        self.socket.sendall(b"IHAVEOPT" + struct.pack(">II", OPT_EXPORT_NAME, len(name)) + name.encode())
        answer = self.receive(10 + (124 if zeroes else 0))
        if answer[10:] != bytes(len(answer) - 10):
            raise RuntimeError("what should be zeroes is not")
        self.size = struct.unpack(">Q", answer[:8])[0]

    def reply(self, cookie, length=0):
        magic, error, found = struct.unpack(">IIQ", self.receive(16))
        if (magic, found) != (SIMPLE_REPLY, cookie):
            raise RuntimeError(f"a reply with magic {magic:#x} to request {found}, expected {cookie}")
        if error:
            raise Refused(str(error))
        return self.receive(length) if length else None

    def request(self, kind, flags, offset, length, data=b""):
        self.cookie += 1
        self.socket.sendall(struct.pack(">IHHQQI", REQUEST, flags, kind, self.cookie, offset, length) + data)
        return self.reply(self.cookie, length if kind == READ else 0)

    def read(self, offset, length):
        return self.request(READ, 0, offset, length) or b""

    def write(self, offset, data, flags=0):
        self.request(WRITE, flags, offset, len(data), data)

    def flush(self):
        self.request(FLUSH, 0, 0, 0)
