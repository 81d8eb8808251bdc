# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests nbd-track: python3 test_nbd_track.py PROGRAM [--qemu-io QEMU_IO]

What is written goes over NBD, by the small client in nbd_client.py, or by qemu-io if it is named.
"""
import argparse
import os
import pathlib
import random
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import nbd_client
from nbd_client import Client

SIZE = 8 * 1024 * 1024 + 1000
GRANULARITY = 65536
FULL_NEEDED = 3

options = argparse.Namespace(program=None, qemu_io=None)


class Server:
    """nbd-track serve, as long as the block runs."""

    def __init__(self, test, image, address="unix"):
        self.socket = test.folder / "socket"
        self.command = [options.program, "serve", image, f"unix:{self.socket}" if address == "unix" else address]

    def __enter__(self):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # It says where it listens when it does.
        self.address = self.process.stdout.readline().strip()
        return self

    def client(self):
        if self.address.startswith("nbd://"):
            host, port = self.address.removeprefix("nbd://").split(":")
            return Client.tcp(host, int(port))
        return Client.unix(str(self.socket))

    def connect(self):
        client = self.client()
        client.go("disk")
        return client

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        _, self.said = self.process.communicate(timeout=20)
        return self.process.returncode

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.end(signal.SIGKILL)


class Case(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.image = self.folder / "disk.raw"
        self.random = random.Random(7)
        # Half data, half zeroes.
        self.image.write_bytes(self.random.randbytes(SIZE // 2) + bytes(SIZE - SIZE // 2))

    def run_it(self, *words, code=0):
        done = subprocess.run([options.program, *words], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def write_somewhere(self, client, count):
        for _ in range(count):
            length = self.random.choice([1, 512, 4096, 70000, 200000])
            client.write(self.random.randrange(SIZE - length), self.random.randbytes(length))

    def changed(self):
        return int(self.run_it("status", self.image).stdout.split()[0])

    def file(self, name):
        return self.folder / name

    def full(self, name="full"):
        self.run_it("backup", "--full", self.image, self.file(name))
        return self.file(name)

    def incremental(self, name):
        self.run_it("backup", self.image, self.file(name))
        return self.file(name)

    def assert_restores(self, *backups):
        restored = self.folder / "restored.raw"
        self.run_it("restore", restored, *backups)
        self.assertTrue(restored.read_bytes() == self.image.read_bytes(), "the restored image differs")
        restored.unlink()


class Backups(Case):
    def test_write_restart_write_backup_restore(self):
        full = self.full()
        with Server(self, self.image) as server:
            with server.connect() as client:
                self.write_somewhere(client, 20)
            self.assertEqual(server.end(), 0)
        first = self.changed()
        self.assertGreater(first, 0)
        with Server(self, self.image) as server:
            with server.connect() as client:
                self.write_somewhere(client, 20)
            self.assertEqual(server.end(), 0)
        self.assertGreater(self.changed(), first)
        one = self.incremental("one")
        self.assertLess(one.stat().st_size, SIZE)
        self.assertEqual(self.changed(), 0)
        self.assert_restores(full, one)
        # A second one has only what changed since the first.
        with Server(self, self.image) as server:
            with server.connect() as client:
                client.write(5 * GRANULARITY, b"changed")
            server.end()
        two = self.incremental("two")
        self.assertEqual(self.changed(), 0)
        self.assertLess(two.stat().st_size, GRANULARITY + 200)
        self.assert_restores(full, one, two)

    def test_incremental_holds_what_is_dirty_and_nothing_else(self):
        self.full()
        with Server(self, self.image) as server:
            with server.connect() as client:
                client.write(3 * GRANULARITY + 17, b"x")
                client.write(SIZE - 1, b"y")
            server.end()
        last = SIZE % GRANULARITY
        # The count is of whole units, the last one too.
        self.assertEqual(self.changed(), 2 * GRANULARITY)
        backup = self.incremental("one").read_bytes()
        header = 8 + 8 + 16 + 16 + 4
        self.assertEqual(struct.unpack(">QI", backup[header:header + 12]), (3 * GRANULARITY, GRANULARITY))
        second = header + 12 + GRANULARITY + 4
        self.assertEqual(struct.unpack(">QI", backup[second:second + 12]), (SIZE - last, last))

    def test_zeroes_are_written_over_data(self):
        full = self.full()
        with Server(self, self.image) as server:
            with server.connect() as client:
                client.write(GRANULARITY, bytes(GRANULARITY))
            server.end()
        self.assert_restores(full, self.incremental("one"))

    def test_restore_refuses_a_gap_and_a_wrong_beginning(self):
        full = self.full()
        names = []
        for name in ("one", "two"):
            with Server(self, self.image) as server:
                with server.connect() as client:
                    self.write_somewhere(client, 3)
                server.end()
            names.append(self.incremental(name))
        one, two = names
        restored = self.folder / "restored.raw"
        self.assertIn("does not follow", self.run_it("restore", restored, full, two, code=1).stderr)
        self.assertIn("a full one comes first", self.run_it("restore", restored, one, two, code=1).stderr)
        self.assertFalse(restored.exists())
        self.assertIn("give a file that name", self.run_it("restore", self.image, full, one, two, code=1).stderr)
        self.assert_restores(full, one, two)

    def test_restore_notices_damage(self):
        whole = self.full().read_bytes()
        damaged, restored = self.folder / "damaged", self.folder / "restored.raw"
        for place in (0, 9, 20, 50, 60, len(whole) // 2, len(whole) - 1):
            damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
            self.run_it("restore", restored, damaged, code=1)
        for length in (0, 10, 52, 60, len(whole) // 2, len(whole) - 1):
            damaged.write_bytes(whole[:length])
            self.assertIn("ends too early", self.run_it("restore", restored, damaged, code=1).stderr)
        damaged.write_bytes(whole + b"!")
        self.assertIn("goes on after its end", self.run_it("restore", restored, damaged, code=1).stderr)
        self.assertEqual([], [name for name in os.listdir(self.folder) if name.startswith("restored")])

    def test_a_backup_that_fails_leaves_the_bitmap_as_it_was(self):
        self.full()
        with Server(self, self.image) as server:
            with server.connect() as client:
                self.write_somewhere(client, 5)
            server.end()
        before = self.changed()
        self.assertIn("File exists", self.run_it("backup", self.image, self.image, code=1).stderr)
        self.assertIn("cannot create", self.run_it("backup", self.image, self.folder / "none" / "x", code=1).stderr)
        self.assertEqual(self.changed(), before)


class Crashes(Case):
    def assert_full_needed(self, why):
        said = self.run_it("status", self.image, code=FULL_NEEDED).stderr
        self.assertIn(why, said)
        self.assertIn("a full backup is needed", said)
        refused = self.run_it("backup", self.image, self.folder / "refused", code=FULL_NEEDED).stderr
        self.assertIn("a full backup is needed", refused)
        self.assertFalse((self.folder / "refused").exists())

    def test_kill(self):
        self.full()
        with Server(self, self.image) as server:
            with server.connect() as client:
                self.write_somewhere(client, 10)
                self.assertEqual(server.end(signal.SIGKILL), -signal.SIGKILL)
        self.assert_full_needed("it was not saved")
        # The server starts all the same, says so, and a clean end does not make it good.
        with Server(self, self.image) as server:
            with server.connect() as client:
                self.write_somewhere(client, 3)
            self.assertEqual(server.end(), 0)
            self.assertIn("a full backup is needed", server.said)
        self.assert_full_needed("it was lost before")
        # A full backup does.
        full = self.full("again")
        with Server(self, self.image) as server:
            with server.connect() as client:
                self.write_somewhere(client, 3)
            server.end()
        self.assert_restores(full, self.incremental("one"))

    def test_kill_before_any_write(self):
        self.full()
        with Server(self, self.image) as server:
            server.end(signal.SIGKILL)
        self.assert_full_needed("it was not saved")

    def test_no_bitmap_yet(self):
        self.assert_full_needed("there is none")

    def test_image_changed_by_somebody_else(self):
        self.full()
        time.sleep(0.05)
        with self.image.open("r+b") as file:
            file.write(b"behind its back")
        self.assert_full_needed("changed by another program")

    def test_image_of_another_size(self):
        self.full()
        with self.image.open("r+b") as file:
            file.truncate(SIZE + 512)
        self.assert_full_needed("another size")

    def test_damaged_bitmap_file(self):
        self.full()
        path = self.folder / "disk.raw.bitmap"
        whole = path.read_bytes()
        # The last byte has no bit that stands for anything.
        for place in (0, 8, 12, 20, 40, 55, 60, len(whole) - 24):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
            self.assert_full_needed("damaged")
        for length in (0, 30, 100, len(whole) - 1):
            path.write_bytes(whole[:length])
            self.assert_full_needed("a full backup is needed")
        path.write_bytes(whole)
        self.assertEqual(self.changed(), 0)

    def test_one_program_at_a_time(self):
        self.full()
        with Server(self, self.image) as server:
            self.assertIn("another nbd-track uses it", self.run_it("status", self.image, code=1).stderr)
            self.assertEqual(server.end(), 0)

    def test_bad_words(self):
        self.assertIn("not a port", self.run_it("serve", self.image, "http", code=1).stderr)
        self.assertIn("cannot open it", self.run_it("serve", self.folder / "none", "0", code=1).stderr)
        self.assertIn("not a regular file", self.run_it("status", "/dev/null", code=1).stderr)
        self.assertIn("nbd-track serve", self.run_it("serve", code=2).stderr)
        self.assertIn("nbd-track serve", self.run_it("--help").stdout)
        empty = self.folder / "empty"
        empty.touch()
        self.assertIn("is empty", self.run_it("status", empty, code=1).stderr)


class Protocol(Case):
    def setUp(self):
        super().setUp()
        self.full()
        self.server = Server(self, self.image)
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)

    def test_tcp(self):
        self.server.end()
        with Server(self, self.image, "0") as server:
            with server.connect() as client:
                client.write(1000, b"over TCP")
                self.assertEqual(client.read(1000, 8), b"over TCP")
            self.assertEqual(server.end(), 0)

    def test_export_name(self):
        for zeroes in (False, True):
            with self.server.client() as client:
                client.export_name("disk", zeroes)
                self.assertEqual(client.size, SIZE)
                self.assertEqual(client.read(5, 100), self.image.read_bytes()[5:105])

    def test_options(self):
        with self.server.client() as client:
            self.assertEqual(client.list(), ["disk"])
            self.assertEqual(client.option(99, b""), [(nbd_client.REP_ERR_UNSUP, b"")])
            self.assertEqual(client.option(nbd_client.OPT_GO, b"xx"), [(nbd_client.REP_ERR_INVALID, b"")])
            # A name longer than the option, and wishes that are not there.
            self.assertEqual(client.option(nbd_client.OPT_GO, struct.pack(">IH", 1000, 0)), [(nbd_client.REP_ERR_INVALID, b"")])
            self.assertEqual(client.option(nbd_client.OPT_GO, struct.pack(">IH", 0, 3)), [(nbd_client.REP_ERR_INVALID, b"")])
            other = struct.pack(">I", 5) + b"other" + struct.pack(">H", 0)
            self.assertEqual(client.option(nbd_client.OPT_GO, other), [(nbd_client.REP_ERR_UNKNOWN, b"")])
            client.go("")
            self.assertEqual(client.size, SIZE)

    def test_ends_and_errors(self):
        with self.server.connect() as client:
            client.write(SIZE - 3, b"end")
            self.assertEqual(client.read(SIZE - 3, 3), b"end")
            for offset, length in ((SIZE - 2, 3), (SIZE + 1, 0), (2**64 - 1, 2), (2**63, 1)):
                with self.assertRaisesRegex(nbd_client.Refused, "28"):
                    client.write(offset, bytes(length))
                with self.assertRaisesRegex(nbd_client.Refused, "22"):
                    client.read(offset, length)
            self.assertEqual(client.read(SIZE, 0), b"")
            client.write(0, b"")
            client.write(7, b"written through", flags=1)
            client.flush()
            with self.assertRaisesRegex(nbd_client.Refused, "22"):
                client.request(77, 0, 0, 0)
            with self.assertRaisesRegex(nbd_client.Refused, "22"):
                client.write(0, b"flags", flags=0x100)
            self.assertEqual(client.read(7, 15), b"written through")

    def assert_ended(self, client):
        """The server ends the connection when the client has nothing more to say, without another word."""
        client.socket.shutdown(nbd_client.socket.SHUT_WR)
        try:
            self.assertEqual(client.socket.recv(100), b"")
        except ConnectionResetError:
            pass  # it had not read all

    def assert_still_serves(self):
        with self.server.connect() as client:
            self.assertEqual(len(client.read(0, 10)), 10)

    def test_clients_that_talk_nonsense_or_go_away(self):
        for nonsense in (b"", b"GET / HTTP/1.1\r\n\r\n", struct.pack(">I", 0xff), b"\0\0\0\1" + b"?" * 16,
                         struct.pack(">I", 1) + b"IHAVEOPT" + struct.pack(">II", 7, 0xffffffff),
                         struct.pack(">I", 1) + b"IHAVEOPT" + struct.pack(">II", 7, 100) + b"short"):
            with self.server.client() as client:
                client.socket.sendall(nonsense)
                self.assert_ended(client)
            self.assert_still_serves()
        before = self.image.read_bytes()
        for request in (struct.pack(">IHHQQI", 0x12345678, 0, 0, 1, 0, 10),
                        struct.pack(">IHHQQI", nbd_client.REQUEST, 0, 0, 1, 0, 0xffffffff),
                        struct.pack(">IHHQQI", nbd_client.REQUEST, 0, 1, 1, 0, 0xffffffff),
                        struct.pack(">IHHQQI", nbd_client.REQUEST, 0, 1, 1, 0, 1000) + b"half"):
            with self.server.connect() as client:
                client.socket.sendall(request)
                self.assert_ended(client)
            self.assert_still_serves()
        self.assertEqual(self.image.read_bytes(), before)

    def test_slow_client_and_signal(self):
        with self.server.connect() as client:
            data = self.random.randbytes(1000)
            message = struct.pack(">IHHQQI", nbd_client.REQUEST, 0, 1, 5, 3 * GRANULARITY, len(data)) + data
            for start in range(0, len(message), 97):
                client.socket.sendall(message[start:start + 97])
                time.sleep(0.005)
            self.assertEqual(client.reply(5), None)
            # Half a request does not keep the server from its end.
            client.socket.sendall(message[:500])
            self.assertEqual(self.server.end(), 0)
        self.assertEqual(self.changed(), GRANULARITY)

    def test_large_requests(self):
        data = self.random.randbytes(6 * 1024 * 1024)
        with self.server.connect() as client:
            client.write(1, data)
            self.assertTrue(client.read(1, len(data)) == data)

    def test_a_reader_that_does_not_read(self):
        with self.server.connect() as client:
            client.socket.sendall(struct.pack(">IHHQQI", nbd_client.REQUEST, 0, 0, 5, 0, SIZE))
            time.sleep(0.1)
            self.assertEqual(self.server.end(), 0)


class Interoperation(Case):
    """With a client that others wrote."""

    def io(self, server, *commands):
        words = [word for command in commands for word in ("-c", command)]
        done = subprocess.run([options.qemu_io, "-f", "raw", *words, server.address], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_qemu_io(self):
        full = self.full()
        # qemu-io writes whole sectors.
        with self.image.open("r+b") as file:
            file.truncate(SIZE // 512 * 512)
        full.unlink()
        full = self.full()
        for address in ("unix", "0"):
            with Server(self, self.image, address) as server:
                self.io(server, "write -P 17 4096 200k", "write -P 0x2a 7M 64k", "flush", "write -f -P 3 0 512")
                self.assertIn("read 65536/65536", self.io(server, "read -P 0x2a 7M 64k"))
                self.assertEqual(server.end(), 0)
        self.assertEqual(self.changed(), 5 * GRANULARITY)
        self.assert_restores(full, self.incremental("one"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("--qemu-io", help="also test with this client")
    parser.parse_args(namespace=options)
    cases = [Backups, Crashes, Protocol] + ([Interoperation] if options.qemu_io else [])
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(load(case) for case in cases))
    failed = len(result.failures) + len(result.errors)
    print(f"nbd-track: {result.testsRun - failed} passed, {failed} failed")
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    raise SystemExit(main())
