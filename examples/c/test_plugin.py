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

SIZE = 8 << 20
GRANULE = 65536
FILES = "disk copy bitmap socket pid keys log".split()
DISK, COPY, BITMAP, SOCKET, PID, KEYS, LOG = map(Path, FILES)
STRICT = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]

# libnbd's shell, with the system's own Python, for which Debian has its module.
NBDSH = ["/usr/bin/python3", "-m", "nbd"]

# A client that writes, zeroes and trims at random, with requests in flight on two connections.
CLIENT = """
import random
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
# A reader of a backup that has ended is told so: it may have seen half of it.
READER = """
reads = [lambda: h.block_status(1, 0, lambda *_: 0), lambda: h.pread(1, 0)]
for read in reads:
    read()
nbd.NBD().connect_uri({begin!r})
for read in reads:
    try:
        read()
    except nbd.Error:
        print("refused")
"""
# As Linux tells of a write-back error of the disk: once.
FAILING_SYNC = f"""
#include <errno.h>
#include <sys/stat.h>
int fdatasync(int fd)
{{
    static int calls;
    struct stat about;
    errno = EIO;
    return fstat(fd, &about) || (about.st_size == {SIZE} && calls++ == 0) ? -1 : 0;
}}
"""
FIO = """fio --name=x --ioengine=nbd --rw=randwrite --bsrange=512-64k --numjobs=2 --iodepth=4
--randrepeat=0 --io_size=4m"""
# What the plugin says of which parameters.
BAD = {
    "not a power of two": "granularity=1000 granularity=0 granularity=256 granularity=4G",
    "negative": "granularity=-1",
    "could not parse": "granularity=x",
    "overflow": "granularity=99999999999G",
    "unknown parameter 'colour'": "colour=red",
    "cannot open it": "bitmap=/",
    "empty path": "bitmap=",
    "not a regular file": "file=/dev/null",
    "not a stored bitmap": f"bitmap={KEYS}",
    "/none": "file=/none",
}
BAD_PARAMETERS = [(word, message) for message, words in BAD.items() for word in words.split()]


def run(*words: object, fails: bool = False) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120)
    # A signal is no failure that a program may have.
    assert (done.returncode > 0) == fails and done.returncode >= 0, done
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if ready := os.environ.get("PLUGIN"):
        return Path(ready).resolve()
    built = tmp_path_factory.mktemp("plugin") / "nbdkit-dirty-plugin.so"
    library = run("pkg-config", "--cflags", "--libs", "qemu_dirty_bitmap")
    flags = shlex.split(f"{os.environ.get('CFLAGS', '')} -o {built}")
    run("cc", *STRICT, *flags, *sorted(Path(__file__).parent.glob("*.c")), *shlex.split(library))
    return built


class Server:
    """A disk, its backups, and an nbdkit that serves it while there is one."""

    tls = False
    process: subprocess.Popen[bytes] | None = None

    def __init__(self, plugin: Path):
        self.plugin = plugin
        for image in (DISK, COPY):
            image.write_bytes(bytes(SIZE))
        KEYS.write_text("alice:00112233445566778899aabbccddeeff\n")

    def words(self, *parameters: str) -> list[str]:
        tls = ["--tls=require", f"--tls-psk={KEYS}"] if self.tls else []
        return ["nbdkit", *tls, str(self.plugin), str(DISK), *parameters]

    def serving(self) -> list[str]:
        return [*self.words(f"bitmap={BITMAP}"), "-f", "-U", str(SOCKET), "-P", str(PID)]

    def refused(self, *parameters: str) -> str:
        """What a server says that can't start."""
        return run(*self.words(*parameters), "-U", "-", "--run", "true", fails=True)

    def start(self, *prefix: str) -> None:
        for file in (SOCKET, PID):
            file.unlink(missing_ok=True)
        with LOG.open("w") as log:
            self.process = subprocess.Popen([*prefix, *self.serving()], stderr=log)
        give_up = time.monotonic() + 30
        while not PID.exists():  # the socket is there before nbdkit listens
            assert self.process.poll() is None and time.monotonic() < give_up, LOG.read_text()
            time.sleep(0.02)

    def end(self, how: signal.Signals = signal.SIGTERM) -> str:
        """Ends the server; what it said."""
        assert self.process
        self.process.send_signal(how)
        assert self.process.wait(30) == (0 if how == signal.SIGTERM else -how), LOG.read_text()
        self.process = None
        return LOG.read_text()

    def uri(self, export: str = "") -> str:
        if self.tls:
            return f"nbds+unix://alice@/{export}?socket={SOCKET}&tls-psk-file={KEYS}"
        return f"nbd+unix:///{export}?socket={SOCKET}"

    def command(self, export: str, fails: bool = False) -> str:
        return run("nbdinfo", "--size", self.uri(export), fails=fails).strip()

    def done(self, number: str, fails: bool = False) -> None:
        self.command(f"backup-done-{number}", fails)

    def dirty(self) -> list[tuple[int, int]]:
        """The areas that a client sees: offset and length."""
        rows = [line.split() for line in run("nbdinfo", "--map", self.uri("dirty")).splitlines()]
        return [(int(row[0]), int(row[1])) for row in rows if row[2] == "0"]

    def is_all_dirty(self) -> bool:
        return self.dirty() == [(0, DISK.stat().st_size)]

    def backup(self) -> None:
        number = self.command("backup-begin")
        copy = ["[", "nbdkit", "--exit-with-parent", "file", COPY, "]"]
        run("nbdcopy", "--destination-is-zero", "--sparse=0", "--", self.uri("dirty"), *copy)
        self.done(number)

    def a_backup_is_whole(self) -> bool:
        self.backup()
        return DISK.read_bytes() == COPY.read_bytes()

    def shell(self, code: str, export: str = "", fails: bool = False) -> str:
        return run(*NBDSH, "-u", self.uri(export), "-c", code, fails=fails)

    def write(self, offset: int, count: int) -> None:
        self.shell(f"h.pwrite(b'x' * {count}, {offset})")


@pytest.fixture
def server(tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    made = Server(plugin)
    yield made
    if made.process:
        made.process.kill()
        made.process.wait()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_no_write_is_lost_beside_backups(server: Server, tls: bool) -> None:
    server.tls = tls
    DISK.write_bytes(random.Random(1).randbytes(SIZE))
    server.start()
    clients = []
    for seed in range(3):
        code = CLIENT.format(seed=seed, size=SIZE, uri=server.uri(), requests=600)
        clients.append(subprocess.Popen([*NBDSH, "-n", "-c", code]))
    if not tls:  # fio cannot be told of keys
        fio = [*FIO.split(), f"--uri={server.uri()}", f"--size={SIZE}"]
        clients.append(subprocess.Popen(fio, stdout=subprocess.DEVNULL))
    backups = 0
    while any(client.poll() is None for client in clients):
        server.backup()
        backups += 1
    assert all(client.returncode == 0 for client in clients)
    assert backups > 1
    assert server.a_backup_is_whole()
    assert server.dirty() == []
    server.end()


def test_each_change_is_recorded(server: Server) -> None:
    server.start()
    assert server.is_all_dirty()
    server.backup()
    commands = ["write 100k 200k", "write -z -u 1M 64k", "write -z 2M 1", "discard 4M 128k"]
    run("qemu-io", "-f", "raw", *(f"-c{each}" for each in [*commands, "flush"]), server.uri())
    expected = [(GRANULE, 4 * GRANULE), (1 << 20, GRANULE), (2 << 20, GRANULE), (4 << 20, 131072)]
    assert server.dirty() == expected
    # What is clean reads as it is, though the map says hole: programs read beyond an area's end.
    server.write(0, 1)
    assert "bytearray(b'x')" in server.shell("print(h.pread(1, 0))", "dirty")
    server.shell("h.pwrite(b'x', 0)", "dirty", fails=True)
    assert server.dirty() == [(0, 5 * GRANULE), *expected[1:]]
    assert server.a_backup_is_whole()


def test_a_bitmap_lives_on(server: Server) -> None:
    server.start()
    server.backup()
    server.write(GRANULE, 1)
    # A backup that is never done: what it has belongs to the next one.
    server.command("backup-begin")
    server.write(5 * GRANULE - 1, 2)
    assert server.dirty() == [(GRANULE, GRANULE)]
    said = f"nbdkit: error: {BITMAP.resolve()}: cannot open it: {os.strerror(2)}\n"
    assert server.end() == said
    BITMAP.chmod(0o640)
    for _ in range(2):
        server.start()
        assert server.dirty() == [(GRANULE, GRANULE), (4 * GRANULE, 2 * GRANULE)]
        assert server.end() == ""
    server.start()
    assert server.a_backup_is_whole()
    assert BITMAP.stat().st_mode & 0o777 == 0o640


def test_a_server_that_died(server: Server) -> None:
    server.start()
    server.backup()
    server.end()
    BITMAP.chmod(0o640)
    server.start()
    server.write(0, 1)
    server.end(signal.SIGKILL)
    server.start()
    assert server.is_all_dirty()
    assert "in use" in server.end(signal.SIGKILL)
    # Once more, and then a clean end: that is a bitmap to believe, of which all is dirty still.
    server.start()
    assert "cannot open it" in server.end()
    server.start()
    assert server.is_all_dirty()
    assert server.a_backup_is_whole()
    assert server.end() == ""
    assert BITMAP.stat().st_mode & 0o777 == 0o640


def test_what_was_not_believed_once_never_is(server: Server) -> None:
    server.start()
    server.backup()
    server.end()
    good, about = BITMAP.read_bytes(), DISK.stat()
    os.utime(DISK)
    server.start()
    server.write(0, 1)
    assert "another program" in server.end(signal.SIGKILL)
    # The system died, and the disk's time was not stored yet.
    os.utime(DISK, ns=(about.st_atime_ns, about.st_mtime_ns))
    server.start()
    assert server.is_all_dirty()
    assert Path(f"{BITMAP}.refused").read_bytes() == good


def test_a_server_that_cannot_start_leaves_the_bitmap(server: Server) -> None:
    server.start()
    server.backup()
    server.end()
    SOCKET.unlink()
    SOCKET.write_text("in the way")
    before = BITMAP.read_bytes()
    run(*server.serving(), fails=True)
    assert BITMAP.read_bytes() == before
    server.start()
    assert server.dirty() == []
    # Two servers of one disk at once.
    assert "lock it" in server.refused()


def test_a_bitmap_that_is_not_believed(server: Server) -> None:
    server.start()
    server.backup()
    server.write(3 * GRANULE, 1)
    server.end()
    good, about = BITMAP.read_bytes(), DISK.stat()

    def not_believed(bad: bytes, touched: bool = False) -> str:
        BITMAP.write_bytes(bad)
        if not touched:
            os.utime(BITMAP, ns=(about.st_atime_ns, about.st_mtime_ns))
        server.start()
        assert server.is_all_dirty()
        return server.end(signal.SIGKILL)

    for place in range(8, len(good), 7):
        not_believed(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
    for length in (0, 1, len(good) // 2, len(good) - 1):
        not_believed(good[:length])
    not_believed(good[:8] + random.Random(2).randbytes(5000))
    assert "something follows" in not_believed(good + b"\0")
    assert "another program" in not_believed(good, touched=True)
    with DISK.open("ab") as disk:
        disk.write(bytes(GRANULE))
    os.utime(DISK, ns=(about.st_atime_ns, about.st_mtime_ns))
    not_believed(good)


@pytest.mark.parametrize("parameter, message", BAD_PARAMETERS)
def test_bad_parameters(server: Server, parameter: str, message: str) -> None:
    assert message in server.refused(parameter)


def test_a_disk_that_is_no_disk(server: Server, plugin: Path) -> None:
    assert "file=IMAGE is needed" in run("nbdkit", plugin, "--run", "true", fails=True)
    os.mkfifo(BITMAP)
    assert "not a regular file" in server.refused(f"bitmap={BITMAP}")
    DISK.write_bytes(b"")
    assert "has content" in server.refused()


@pytest.mark.parametrize("suffix", ["", ".new", ".refused"])
def test_an_image_with_a_name_of_the_bitmap(server: Server, suffix: str) -> None:
    os.link(DISK, f"{BITMAP}{suffix}")
    assert "is the image" in server.refused(f"bitmap={BITMAP}")


def test_of_two_backups_the_newer_one_counts(server: Server) -> None:
    server.start()
    server.backup()
    older = server.command("backup-begin")
    server.write(0, GRANULE)
    newer = server.command("backup-begin")
    server.done(older, fails=True)
    assert server.dirty() == [(0, GRANULE)]
    # Without --size, it asks what the export is, and opens it then.
    run("nbdinfo", server.uri(f"backup-done-{newer}"))
    assert server.dirty() == []
    last = server.command("backup-begin")
    server.done(newer)
    server.end()
    server.start()
    assert len({older, newer, last, server.command("backup-begin")}) == 4
    server.done(last, fails=True)


def test_a_sync_that_failed(server: Server) -> None:
    server.start()
    server.backup()
    server.end()
    Path("sync.c").write_text(FAILING_SYNC)
    run("cc", *STRICT, "-o", "sync.so", "sync.c")
    server.start("env", f"LD_PRELOAD={Path('sync.so').resolve()}")
    number = server.command("backup-begin")
    server.shell("h.pwrite(b'x', 0); h.flush()", fails=True)
    server.shell("h.flush()", fails=True)
    server.done(number, fails=True)
    server.end()
    server.start()
    assert server.is_all_dirty()


def test_a_full_disk(server: Server) -> None:
    server.start("env", "--ignore-signal=XFSZ", "prlimit", f"--fsize={GRANULE}")
    assert "No space left" in server.shell("h.pwrite(b'x' * 100_000, 0)", fails=True)


def test_commands(server: Server) -> None:
    server.start()
    server.command("backup-done-1", fails=True)
    server.command("nothing", fails=True)
    assert "not under way" in LOG.read_text() and "no export 'nothing'" in LOG.read_text()
    listed = run("nbdinfo", "--list", server.uri())
    assert 'export=""' in listed and 'export="dirty"' in listed and "backup-" not in listed
    server.command("backup-begin")
    code = READER.format(begin=server.uri("backup-begin"))
    reader = run(*NBDSH, "--base-allocation", "-u", server.uri("dirty"), "-c", code)
    assert reader.split() == ["refused", "refused"]
    assert server.a_backup_is_whole()
