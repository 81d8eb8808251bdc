# SPDX-License-Identifier: GPL-2.0-or-later
"""A running QEMU, spoken to over QMP. No guest system runs in it: -accel qtest."""
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import say

ANSWER_WITHIN = 60  # seconds


class Machine:
    """`with Machine(program, arguments) as vm:`; at the end the process is gone."""

    def __init__(self, program: Path, *arguments: str, lives_at_most: int = 600):
        # Sockets have short paths, whatever the cache folder is called.
        self.sockets = tempfile.TemporaryDirectory(prefix="qdb-")
        qmp = Path(self.sockets.name) / "qmp"
        self.log = tempfile.TemporaryFile()
        command = [
            "timeout", "--kill-after=5", str(lives_at_most), str(program), "-accel", "qtest", "-nodefaults",
            "-display", "none", "-qmp", f"unix:{qmp},server=on,wait=off", *arguments,
        ]
        # In a process group of its own, so that all of it can be ended.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self.events = []
        try:
            self.channel = self.connect(qmp)
            self.reader = self.channel.makefile("r", encoding="utf-8")
            self.receive()  # the greeting
            self.command("qmp_capabilities")
        except BaseException:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def connect(self, path: Path) -> socket.socket:
        end = time.monotonic() + ANSWER_WITHIN
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise self.gone()
            channel = socket.socket(socket.AF_UNIX)
            channel.settimeout(ANSWER_WITHIN)
            try:
                channel.connect(str(path))
                return channel
            except (FileNotFoundError, ConnectionRefusedError):
                channel.close()
                time.sleep(0.05)
        raise say.Failure("QEMU does not open its QMP socket")

    def gone(self) -> say.Failure:
        self.process.wait()
        self.log.seek(0)
        output = self.log.read().decode(errors="replace")[-2000:]
        return say.Failure(f"QEMU ended on its own, with {self.process.returncode}:\n{output}")

    def receive(self) -> dict:
        try:
            line = self.reader.readline()
        except TimeoutError:
            raise say.Failure(f"QEMU says nothing for {ANSWER_WITHIN} s") from None
        if not line:
            raise self.gone()
        return json.loads(line)

    def ask(self, name: str, /, **arguments) -> dict:
        """Sends a command; returns the whole answer, error or not. `_` in a name is `-`."""
        request = {"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        self.channel.sendall((json.dumps(request) + "\n").encode())
        while True:
            message = self.receive()
            if "event" not in message:
                return message
            self.events.append(message)

    def command(self, name: str, /, **arguments):
        """Sends a command that must succeed; returns what it returns."""
        answer = self.ask(name, **arguments)
        if "error" in answer:
            raise say.Failure(f"{name}: {answer['error']['desc']}")
        return answer["return"]

    def transaction(self, *actions) -> None:
        """Several commands, all or none. Each action is (name, arguments)."""
        self.command("transaction", actions=[
            {"type": name, "data": {k.replace("_", "-"): v for k, v in data.items()}} for name, data in actions
        ])

    def finish_job(self, job: str) -> dict:
        """Waits for the end of a block job, which must be a success."""
        while True:
            for event in self.events:
                if event["event"] in ("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED") and event["data"]["device"] == job:
                    self.events.remove(event)
                    if event["event"] != "BLOCK_JOB_COMPLETED" or "error" in event["data"]:
                        raise say.Failure(f"job {job}: {event['data'].get('error', 'cancelled')}")
                    return event["data"]
            message = self.receive()
            if "event" in message:
                self.events.append(message)

    def guest_io(self, device: str, line: str) -> None:
        """Reads or writes as the guest does, through its device; `line` is qemu-io's."""
        output = self.command("human-monitor-command", command_line=f'qemu-io -d {device} "{line}"')
        if "error" in output.lower() or "failed" in output.lower():
            raise say.Failure(f"qemu-io {line}: {output.strip()}")

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

    def quit(self) -> None:
        """Ends QEMU in an orderly way: it stores the bitmaps."""
        self.command("quit")
        try:
            code = self.process.wait(timeout=ANSWER_WITHIN)
        except subprocess.TimeoutExpired:
            raise say.Failure("QEMU does not quit") from None
        if code != 0:
            raise self.gone()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.wait_for_all()
        self.sockets.cleanup()

    def wait_for_all(self) -> None:
        """QEMU is a child of the process that was waited for: until it is gone too, it has its images locked."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.02)
