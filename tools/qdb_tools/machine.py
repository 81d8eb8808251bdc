# SPDX-License-Identifier: GPL-2.0-or-later
"""A running QEMU or storage daemon, spoken to with QEMU's own qemu.qmp. No guest runs in it."""

import contextlib
import logging
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from qemu.qmp import QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

from qdb_tools.log import Failure
from qdb_tools.process import words

Action = tuple[str, dict[str, Any]]  # a command, or one of a transaction
Limit = Callable[[], None]  # what a child calls before it becomes the program
# That a QEMU ends is what many tests are about; what it said is in the Failure.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


def spelled(value: Any) -> Any:
    """Python's names of arguments as QMP spells them."""
    if isinstance(value, dict):
        return {name.replace("_", "-"): spelled(part) for name, part in value.items()}
    return [spelled(part) for part in value] if isinstance(value, (list, tuple)) else value


def transaction(*actions: Action) -> Action:
    """One command that does several, all or none."""
    return "transaction", {"actions": [{"type": name, "data": data} for name, data in actions]}


class Process:
    """A program with a QMP monitor; it is gone when the `with` ends, or after its time.

    `folder` is for its other sockets: the path is short, whatever the cache folder is called.
    """

    def __init__(
        self, program: Path, *arguments: str, lives_at_most: float, **options: Any
    ) -> None:
        self.sockets = tempfile.TemporaryDirectory(prefix="qdb-")
        self.folder = Path(self.sockets.name)
        self.log = tempfile.TemporaryFile()
        self.events: list[dict[str, Any]] = []
        options |= {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": subprocess.STDOUT}
        # Each side has an end of the channel: nobody has to wait for a socket to be there.
        ours, theirs = socket.socketpair()
        with theirs:
            channel = ["--chardev", f"socket,id=qmp,fd={theirs.fileno()}"]
            # The kernel ends it with this process, whatever ends that.
            command = ["setpriv", "--pdeathsig", "KILL", program, *channel, *arguments]
            options["pass_fds"] = [theirs.fileno()]
            self.process = subprocess.Popen(words(command), **options)
        self.alarm = threading.Timer(lives_at_most, self.process.kill)
        self.alarm.start()
        self.qmp = QEMUMonitorProtocol(ours)
        try:
            with self.alive():
                self.qmp.connect()
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def said(self) -> str:
        """All that it has said on stdout and stderr."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def gone(self) -> Failure:
        code = self.process.wait()
        return Failure(f"ended with {code}:\n{self.said()[-2000:]}")

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """A program that is gone, or whose time is over, is a Failure."""
        try:
            yield
        except (QMPError, EOFError, OSError):
            raise self.gone() from None

    def ask(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Sends a command; returns the whole answer, error or not. `_` in a name is `-`."""
        with self.alive():
            return dict(self.qmp.cmd_raw(name, spelled(arguments)))

    def command(self, name: str, /, **arguments: Any) -> Any:
        """Sends a command that must succeed; returns what it returns."""
        answer = self.ask(name, **arguments)
        if "error" in answer:
            raise Failure(f"{name}: {answer['error']['desc']}")
        return answer["return"]

    def event(self, *names: str, **data: Any) -> dict[str, Any]:
        """Waits for one of these events with these data; takes and returns it."""
        while True:
            for event in self.events:
                if event["event"] in names and data.items() <= event.get("data", {}).items():
                    self.events.remove(event)
                    return event
            if self.process.poll() is not None:
                raise self.gone()
            with contextlib.suppress(TimeoutError):
                self.events += self.qmp.get_events(wait=0.5)

    def serve(self, socket: object = "") -> Path:
        """Starts an NBD server; returns its socket (default: `nbd` in `folder`)."""
        path = Path(str(socket or self.folder / "nbd"))
        self.command("nbd-server-start", addr={"type": "unix", "data": {"path": str(path)}})
        return path

    def export(self, node: str, name: str, **more: Any) -> None:
        self.command("block-export-add", type="nbd", id=name, node_name=node, name=name, **more)

    @contextlib.contextmanager
    def exported(self, node: str, bitmap: str) -> Iterator[None]:
        """A bitmap is there over NBD while the block runs, as export `e`."""
        self.export(node, "e", bitmaps=[bitmap])
        try:
            yield
        finally:
            self.command("block-export-del", id="e", mode="hard")
            self.event("BLOCK_EXPORT_DELETED", id="e")

    def quit(self) -> None:
        """Ends it in an orderly way, and well: it stores the bitmaps."""
        self.command("quit")
        end = self.gone()
        if self.process.returncode != 0:
            raise end

    def kill(self) -> None:
        self.alarm.cancel()
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(QMPError, EOFError, OSError):
            self.qmp.close()
        self.sockets.cleanup()


class Machine(Process):
    """`with Machine(program, arguments) as vm:` is a qemu-system-x86_64."""

    def __init__(self, program: Path, *arguments: str, lives_at_most: float = 600) -> None:
        options = "-accel qtest -nodefaults -display none -mon chardev=qmp,mode=control"
        super().__init__(program, *options.split(), *arguments, lives_at_most=lives_at_most)

    def finish_job(self, job: str) -> dict[str, Any]:
        """Waits for the end of a block job, which must be a success."""
        event = self.event("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED", device=job)
        if event["event"] != "BLOCK_JOB_COMPLETED" or "error" in event["data"]:
            raise Failure(f"job {job}: {event['data'].get('error', 'cancelled')}")
        return dict(event["data"])

    def monitor(self, line: str) -> str:
        return str(self.command("human-monitor-command", command_line=line))

    def guest_io(self, device: str, line: str) -> None:
        """Reads or writes as the guest does, through its device; `line` is qemu-io's."""
        said = self.monitor(f'qemu-io -d {device} "{line}"')
        if "error" in said.lower() or "failed" in said.lower():
            raise Failure(f"qemu-io {line}: {said.strip()}")


class Daemon(Process):
    """A qemu-storage-daemon. Paths in its commands are relative to `folder`."""

    def __init__(
        self, program: Path, folder: Path, lives_at_most: float = 60, limit: Limit | None = None
    ) -> None:
        where = {"cwd": folder, "preexec_fn": limit}
        super().__init__(program, "--monitor", "qmp", lives_at_most=lives_at_most, **where)
