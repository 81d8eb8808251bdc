# SPDX-License-Identifier: GPL-2.0-or-later
"""The nbdkit plugin, built with pkg-config alone, and used by programs that others wrote.

Run by pytest. nbdkit, libnbd's tools and its Python module, fio and qemu-io are needed, and a
library that pkg-config and the loader find. $CFLAGS are added to the compiler's; $PLUGIN names a
plugin that is built already.
"""

import os
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SIZE = 8 << 20
GRANULE = 65536
STRICT = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]

# libnbd's shell, with the system's own Python, for which Debian has its module.
NBDSH = ["/usr/bin/python3", "-m", "nbd"]

# A client that writes, zeroes and trims at random, with requests in flight on two connections.
CLIENT = """
import nbd, random, sys
chance, size = random.Random({seed}), {size}
handles = [nbd.NBD(), nbd.NBD()]
for h in handles:
    h.set_uri_allow_local_file(True)
    h.connect_uri({uri!r})
for number in range({requests}):
    h, offset = handles[number % 2], chance.randrange(size)
    count = min(size - offset, chance.randrange(1, 200_000))
    kind = chance.randrange(4)
    if kind == 0:
        h.zero(count, offset, chance.choice([0, nbd.CMD_FLAG_NO_HOLE]))
    elif kind == 1:
        h.trim(count, offset)
    else:
        h.aio_pwrite(nbd.Buffer.from_bytearray(chance.randbytes(count)), offset)
    while h.aio_in_flight() > 8:
        h.poll(-1)
for h in handles:
    while h.aio_in_flight():
        h.poll(-1)
    h.flush()
    h.shutdown()
"""


def run(*words: object, fails: bool = False) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=120, check=False
    )
    # A signal is no failure that a program may have.
    assert (done.returncode > 0) == fails and done.returncode >= 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if ready := os.environ.get("PLUGIN"):
        return Path(ready)
    built = tmp_path_factory.mktemp("plugin") / "nbdkit-dirty-plugin.so"
    cflags, libs = [
        shlex.split(run("pkg-config", what, "qemu_dirty_bitmap")) for what in ("--cflags", "--libs")
    ]
    extra = shlex.split(os.environ.get("CFLAGS", ""))
    run("cc", *STRICT, *extra, *cflags, *sorted(HERE.glob("*.c")), "-o", built, *libs)
    return built


class Server:
    """A disk in a folder, its backups, and an nbdkit that serves it while there is one."""

    def __init__(self, folder: Path, plugin: Path, tls: bool = False):
        self.folder, self.plugin, self.tls = folder, plugin, tls
        self.disk, self.copy = folder / "disk", folder / "copy"
        self.bitmap = folder / "bitmap"
        self.process: subprocess.Popen[str] | None = None
        for image in (self.disk, self.copy):
            image.write_bytes(bytes(SIZE))
        (folder / "keys").write_text("alice:00112233445566778899aabbccddeeff\n")

    def words(self, *parameters: str) -> list[str]:
        tls = ["--tls=require", f"--tls-psk={self.folder}/keys"] if self.tls else []
        return ["nbdkit", *tls, str(self.plugin), str(self.disk), *parameters]

    def start(self) -> None:
        socket = self.folder / "socket"
        socket.unlink(missing_ok=True)
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            words = [*self.words(f"bitmap={self.bitmap}"), "-f", "-U", str(socket)]
            self.process = subprocess.Popen(words, stderr=log, text=True)
        give_up = time.monotonic() + 30
        while not socket.exists():
            assert self.process.poll() is None and time.monotonic() < give_up, self.log()
            time.sleep(0.02)

    def end(self, how: signal.Signals = signal.SIGTERM) -> str:
        """Ends the server; what it said."""
        assert self.process
        self.process.send_signal(how)
        code = self.process.wait(30)
        assert code == (0 if how == signal.SIGTERM else -how), self.log()
        self.process = None
        return self.log()

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def uri(self, export: str = "") -> str:
        socket = self.folder / "socket"
        if self.tls:
            keys = self.folder / "keys"
            return f"nbds+unix://alice@/{export}?socket={socket}&tls-psk-file={keys}"
        return f"nbd+unix:///{export}?socket={socket}"

    def command(self, export: str, fails: bool = False) -> str:
        return run("nbdinfo", "--size", self.uri(export), fails=fails)

    def dirty(self) -> list[tuple[int, int]]:
        """The areas that a client sees: offset and length."""
        rows = [line.split() for line in run("nbdinfo", "--map", self.uri("dirty")).splitlines()]
        return [(int(row[0]), int(row[1])) for row in rows if row[2] == "0"]

    def is_all_dirty(self) -> bool:
        return self.dirty() == [(0, self.disk.stat().st_size)]

    def backup(self) -> None:
        self.command("backup-begin")
        run(
            *("nbdcopy", "--destination-is-zero", "--sparse=0", "--", self.uri("dirty")),
            *("[", "nbdkit", "--exit-with-parent", "file", self.copy, "]"),
        )
        self.command("backup-done")

    def is_copied(self) -> bool:
        return self.disk.read_bytes() == self.copy.read_bytes()

    def write(self, offset: int, count: int) -> None:
        run(*NBDSH, "-u", self.uri(), "-c", f"h.pwrite(b'x' * {count}, {offset})")


@pytest.fixture
def server(tmp_path: Path, plugin: Path) -> Iterator[Server]:
    made = Server(tmp_path, plugin)
    yield made
    if made.process:
        made.process.kill()
        made.process.wait()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_no_write_is_lost_beside_backups(server: Server, tls: bool) -> None:
    server.tls = tls
    server.disk.write_bytes(random.Random(1).randbytes(SIZE))
    server.start()
    clients = []
    for seed in range(3):
        code = CLIENT.format(seed=seed, size=SIZE, uri=server.uri(), requests=600)
        clients.append(subprocess.Popen([*NBDSH, "-n", "-c", code]))
    if not tls:  # fio cannot be told of keys
        fio = ["fio", "--name=x", "--ioengine=nbd", f"--uri={server.uri()}", "--rw=randwrite"]
        fio += ["--bsrange=512-64k", "--numjobs=2", "--iodepth=4", "--randrepeat=0"]
        fio += ["--io_size=4m", f"--size={SIZE}"]
        clients.append(subprocess.Popen(fio, stdout=subprocess.DEVNULL))
    backups = 0
    while any(client.poll() is None for client in clients):
        server.backup()
        backups += 1
    assert all(client.returncode == 0 for client in clients)
    assert backups > 1
    server.backup()
    assert server.dirty() == []
    assert server.is_copied()
    server.end()


def test_each_change_is_recorded(server: Server) -> None:
    server.start()
    assert server.is_all_dirty()
    server.backup()
    commands = [
        "write 100k 200k",
        "write -z -u 1M 64k",
        "write -z 2M 1",
        "discard 4M 128k",
        "flush",
    ]
    words = [word for command in commands for word in ("-c", command)]
    run("qemu-io", "-f", "raw", *words, server.uri())
    expected = [(GRANULE, 4 * GRANULE), (1 << 20, GRANULE), (2 << 20, GRANULE), (4 << 20, 131072)]
    assert server.dirty() == expected
    # What is clean reads as it is, though the map says hole: programs read beyond an area's end.
    server.write(0, 1)
    assert "bytearray(b'x')" in run(*NBDSH, "-u", server.uri("dirty"), "-c", "print(h.pread(1, 0))")
    run(*NBDSH, "-u", server.uri("dirty"), "-c", "h.pwrite(b'x', 0)", fails=True)
    assert server.dirty() == [(0, 5 * GRANULE), *expected[1:]]
    server.backup()
    assert server.is_copied()


def test_a_bitmap_lives_on(server: Server) -> None:
    server.start()
    server.backup()
    server.write(GRANULE, 1)
    # A backup that is never done: what it has belongs to the next one.
    server.command("backup-begin")
    server.write(5 * GRANULE - 1, 2)
    assert server.dirty() == [(GRANULE, GRANULE)]
    assert server.end() == f"nbdkit: error: {server.bitmap}: cannot open it: {os.strerror(2)}\n"
    for _ in range(2):
        server.start()
        assert server.dirty() == [(GRANULE, GRANULE), (4 * GRANULE, 2 * GRANULE)]
        assert server.end() == ""
    server.start()
    server.backup()
    assert server.is_copied()


def test_a_server_that_died(server: Server) -> None:
    server.start()
    server.backup()
    server.end()
    server.start()
    server.write(0, 1)
    server.end(signal.SIGKILL)
    server.start()
    assert server.is_all_dirty()
    server.end(signal.SIGKILL)
    assert "in use" in server.log()
    # Once more, and then a clean end: that is a bitmap to believe, of which all is dirty still.
    server.start()
    assert "cannot open it" in server.end()
    server.start()
    assert server.is_all_dirty()
    server.backup()
    assert server.is_copied()
    assert server.end() == ""


def test_what_was_not_believed_once_never_is(server: Server) -> None:
    server.start()
    server.backup()
    server.end()
    good, about = server.bitmap.read_bytes(), server.disk.stat()
    os.utime(server.disk)
    server.start()
    server.write(0, 1)
    server.end(signal.SIGKILL)
    assert "another program" in server.log()
    # The system died, and the disk's time was not stored yet.
    os.utime(server.disk, ns=(about.st_atime_ns, about.st_mtime_ns))
    server.start()
    assert server.is_all_dirty()
    assert Path(f"{server.bitmap}.refused").read_bytes() == good


def test_a_server_that_cannot_start_leaves_the_bitmap(server: Server) -> None:
    server.start()
    server.backup()
    server.end()
    (server.folder / "socket").unlink()
    (server.folder / "socket").write_text("in the way")
    before = server.bitmap.read_bytes()
    words = [*server.words(f"bitmap={server.bitmap}"), "-f", "-U", server.folder / "socket"]
    run(*words, fails=True)
    assert server.bitmap.read_bytes() == before
    server.start()
    assert server.dirty() == []
    # Two servers of one disk at once.
    assert "lock it" in run(*server.words(), "-U", "-", "--run", "true", fails=True)


def test_a_bitmap_that_is_not_believed(server: Server) -> None:
    server.start()
    server.backup()
    server.write(3 * GRANULE, 1)
    server.end()
    good, about = server.bitmap.read_bytes(), server.disk.stat()

    def not_believed(bad: bytes, touched: bool = False) -> str:
        server.bitmap.write_bytes(bad)
        if not touched:
            os.utime(server.bitmap, ns=(about.st_atime_ns, about.st_mtime_ns))
        server.start()
        assert server.is_all_dirty()
        server.end(signal.SIGKILL)
        return server.log()

    for place in range(len(good)):
        if place % 7 == 0:
            not_believed(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
    for length in (0, 1, len(good) // 2, len(good) - 1):
        not_believed(good[:length])
    not_believed(random.Random(2).randbytes(5000))
    assert "something follows" in not_believed(good + b"\0")
    assert "another program" in not_believed(good, touched=True)
    with server.disk.open("ab") as disk:
        disk.write(bytes(GRANULE))
    os.utime(server.disk, ns=(about.st_atime_ns, about.st_mtime_ns))
    not_believed(good)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (["granularity=1000"], "not a power of two"),
        (["granularity=0"], "not a power of two"),
        (["granularity=256"], "not a power of two"),
        (["granularity=4G"], "not a power of two"),
        (["granularity=-1"], "negative"),
        (["granularity=x"], "could not parse"),
        (["granularity=99999999999G"], "overflow"),
        (["colour=red"], "unknown parameter 'colour'"),
        (["bitmap=/"], "cannot open it"),
        (["bitmap="], "empty path"),
        (["file=/dev/null"], "not a regular file"),
        (["file=/none"], "/none"),
    ],
)
def test_bad_parameters(server: Server, parameters: list[str], message: str) -> None:
    told = run(*server.words(*parameters), "-U", "-", "--run", "true", fails=True)
    assert message in told


def test_a_disk_that_is_no_disk(server: Server, plugin: Path) -> None:
    assert "file=IMAGE is needed" in run("nbdkit", plugin, "--run", "true", fails=True)
    server.disk.write_bytes(b"")
    assert "has content" in run(*server.words(), "-U", "-", "--run", "true", fails=True)


def test_commands(server: Server) -> None:
    server.start()
    server.command("backup-done", fails=True)
    server.command("nothing", fails=True)
    assert "no backup was begun" in server.log() and "no export 'nothing'" in server.log()
    listed = run("nbdinfo", "--list", server.uri())
    assert 'export=""' in listed and 'export="dirty"' in listed and "backup-" not in listed
    server.command("backup-begin")
    # A reader of a backup that has ended is told so: it may have seen half of it.
    code = f"""
import subprocess
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri({server.uri("dirty")!r})
h.block_status(1, 0, lambda *_: 0)
subprocess.run(["nbdinfo", "--size", {server.uri("backup-begin")!r}], check=True)
try:
    h.block_status(1, 0, lambda *_: 0)
except nbd.Error:
    print("refused")
"""
    assert "refused" in run(*NBDSH, "-n", "-c", code)
    server.backup()
    assert server.is_copied()
