# SPDX-License-Identifier: GPL-2.0-or-later
"""A qemu-storage-daemon, spoken to over QMP on its standard input and output."""
import json
import subprocess
from pathlib import Path

from . import say


class Daemon:
    """`with Daemon(program, folder) as daemon:`; at the end the process is gone. Paths are relative to `folder`."""

    def __init__(self, program: Path, folder: Path, lives_at_most: int = 60, limit=None):
        self.log = folder / "daemon.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["timeout", "--kill-after=5", str(lives_at_most), program, "--chardev", "stdio,id=qmp", "--monitor", "qmp"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, preexec_fn=limit,
            )
        self.events = []

    def __enter__(self):
        self.receive()  # the greeting
        self.ask("qmp_capabilities")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            # With its children: timeout passes the signal on.
            self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass  # a command that it did not live to read

    def receive(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise say.Failure(f"qemu-storage-daemon ended with {self.process.returncode}: {self.said()[-2000:]}")
        return json.loads(line)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def ask(self, name: str, /, **arguments) -> dict:
        """Sends a command; returns the whole answer, error or not. `_` in a name is `-`."""
        request = {"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # what it ended with is told by receive
        while True:
            message = self.receive()
            if "event" not in message:
                return message
            self.events.append(message)

    def wait(self, name: str) -> None:
        """Waits for an event, and takes it."""
        while not any(event["event"] == name for event in self.events):
            message = self.receive()
            if "event" in message:
                self.events.append(message)
        self.events = [event for event in self.events if event["event"] != name]

    def quit(self) -> int:
        """Ends it in an orderly way; returns its exit code."""
        self.ask("quit")
        self.process.stdin.close()
        return self.process.wait()
