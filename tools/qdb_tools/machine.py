# SPDX-License-Identifier: GPL-2.0-or-later
"""A running QEMU or storage daemon, spoken to with QEMU's own qemu.qmp. No guest runs in it."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from qemu.qmp import QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

from qdb_tools.log import Failure
from qdb_tools.process import Words, words

ANSWER_WITHIN = 60.0  # seconds
# That a QEMU ends is what many tests are about; what it said is in the Failure.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


def spelled(arguments: dict[str, Any]) -> dict[str, Any]:
    """Python's names of arguments as QMP spells them."""
    return {name.replace("_", "-"): value for name, value in arguments.items()}


class Process:
    """A program with a QMP monitor on the socket `{fd}`; it is gone when the `with` ends.

    `folder` is for its other sockets: the path is short, whatever the cache folder is called.
    """

    def __init__(
        self,
        command: Words,
        *,
        lives_at_most: int,
        answers_within: float = ANSWER_WITHIN,
        **options: Any,
    ) -> None:
        self.sockets = tempfile.TemporaryDirectory(prefix="qdb-")
        self.folder = Path(self.sockets.name)
        self.log = tempfile.TemporaryFile()
        self.events: list[dict[str, Any]] = []
        self.wait_for_answers = answers_within
        limited: Words = ["timeout", "--kill-after=5", lives_at_most, *command]
        # Each side has an end of the channel: nobody has to wait for a socket to be there.
        ours, theirs = socket.socketpair()
        with theirs:
            # In a process group of its own, so that all of it can be ended.
            self.process = subprocess.Popen(
                [word.replace("{fd}", str(theirs.fileno())) for word in words(limited)],
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
                **options,
            )
        self.qmp = QEMUMonitorProtocol(ours)
        self.qmp.settimeout(answers_within)
        try:
            self.qmp.connect()
        except (QMPError, EOFError, OSError):
            failure = self.gone()
            self.kill()
            raise failure from None
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
        try:
            self.process.wait(timeout=ANSWER_WITHIN)
        except subprocess.TimeoutExpired:
            return Failure("it does not answer")
        return Failure(f"ended on its own, with {self.process.returncode}:\n{self.said()[-2000:]}")

    def ask(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Sends a command; returns the whole answer, error or not. `_` in a name is `-`."""
        try:
            return dict(self.qmp.cmd_raw(name, spelled(arguments)))
        except TimeoutError:
            raise Failure(f"no answer to {name} for {self.wait_for_answers} s") from None
        except (QMPError, EOFError, OSError):
            raise self.gone() from None

    def command(self, name: str, /, **arguments: Any) -> Any:
        """Sends a command that must succeed; returns what it returns."""
        answer = self.ask(name, **arguments)
        if "error" in answer:
            raise Failure(f"{name}: {answer['error']['desc']}")
        return answer["return"]

    def transaction(self, *actions: tuple[str, dict[str, Any]]) -> None:
        """Several commands, all or none. Each action is (name, arguments)."""
        listed = [{"type": name, "data": spelled(data)} for name, data in actions]
        self.command("transaction", actions=listed)

    def event(self, *names: str, **data: Any) -> dict[str, Any]:
        """Waits for one of these events with these data; takes and returns it."""
        while True:
            for event in self.events:
                about = event.get("data", {})
                if event["event"] in names and all(about.get(k) == v for k, v in data.items()):
                    self.events.remove(event)
                    return event
            try:
                self.events += self.qmp.get_events(wait=self.wait_for_answers)
            except TimeoutError:
                raise Failure(f"no {' or '.join(names)} for {self.wait_for_answers} s") from None
            except (QMPError, EOFError, OSError):
                raise self.gone() from None

    def quit(self) -> int:
        """Ends it in an orderly way: it stores the bitmaps. Returns its exit code."""
        self.command("quit")
        try:
            return self.process.wait(timeout=self.wait_for_answers)
        except subprocess.TimeoutExpired:
            raise Failure("it does not quit") from None

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        # It is a child of the process that was waited for: until it is gone too, it has its
        # images locked.
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.02)
        with contextlib.suppress(QMPError, EOFError, OSError):
            self.qmp.close()
        self.sockets.cleanup()


class Machine(Process):
    """`with Machine(program, arguments) as vm:` is a qemu-system-x86_64."""

    def __init__(self, program: Path, *arguments: str, lives_at_most: int = 600) -> None:
        command = [program, "-accel", "qtest", "-nodefaults", "-display", "none"]
        monitor = ["-chardev", "socket,id=qmp,fd={fd}", "-mon", "chardev=qmp,mode=control"]
        super().__init__([*command, *monitor, *arguments], lives_at_most=lives_at_most)

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

    def executable(self) -> Path:
        """The program file of the running process, as the kernel tells it."""
        for task in Path("/proc").glob("[0-9]*"):
            try:
                parent = (task / "stat").read_text().rsplit(")", 1)[1].split()[1]
                if int(parent) == self.process.pid:
                    return Path(os.readlink(task / "exe"))
            except (OSError, IndexError):
                continue
        raise self.gone()

    def quit(self) -> int:
        if (code := super().quit()) != 0:
            raise self.gone()
        return code


class Daemon(Process):
    """A qemu-storage-daemon. Paths in its commands are relative to `folder`."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        lives_at_most: int = 60,
        limit: Callable[[], None] | None = None,
    ) -> None:
        chardev = "socket,id=qmp,fd={fd}"
        super().__init__(
            [program, "--chardev", chardev, "--monitor", "qmp"],
            lives_at_most=lives_at_most,
            answers_within=lives_at_most,
            cwd=folder,
            preexec_fn=limit,
        )
