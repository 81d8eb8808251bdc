# SPDX-License-Identifier: GPL-2.0-or-later
"""One of two QEMU builds that do the same work: its disk, plain models of what is on the disk and
in its bitmaps, and what must be the same on the other side."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model import Bitmap, Content, Write
from qdb_tools.build import Build
from qdb_tools.disk import LIMIT, Disk
from qdb_tools.machine import GUEST_DISK, Action, transaction
from qdb_tools.process import output, words

Models = dict[str, Bitmap]
Shares = Sequence[Sequence[Write]]


class Session(Disk):
    def __init__(self, build: Build, folder: Path, size: int) -> None:
        super().__init__(build, folder, size)
        self.facts: list[Any] = []  # what must be the same on the other side, one after the other
        self.models: Models = {}  # of the disk's bitmaps
        self.content: Content | None = None

    def do(self, *actions: Action) -> None:
        """Bitmaps, and their models."""
        super().do(*actions)
        for name, data in actions:
            kind = name.removeprefix("block-dirty-bitmap-")
            if kind == name or data["node"] != "disk":
                continue
            bitmap = str(data.get("name", data.get("target")))
            if kind == "add":
                recording = not data.get("disabled")
                self.models[bitmap] = Bitmap(self.size, data["granularity"], recording)
            elif kind == "remove":
                self.models.pop(bitmap, None)
            elif kind == "merge":
                names = [s if isinstance(s, str) else s["name"] for s in data["bitmaps"]]
                self.models[bitmap].merge(*[self.models[name] for name in names])
            elif kind == "clear":
                self.models[bitmap].clear()
            else:
                self.models[bitmap].recording = kind == "enable"

    def refused(self, *actions: Action) -> None:
        """What must fail; its words are a fact."""
        name, arguments = actions[0] if len(actions) == 1 else transaction(*actions)
        answer = self.vm.ask(name, **arguments)
        assert "error" in answer, f"{name} did not fail: {arguments}"
        self.facts.append((name, answer["error"]))

    def listed(self) -> list[dict[str, Any]]:
        """The bitmaps of the guest's disk, as query-block lists them: a fact."""
        disks = [b for b in self.vm.command("query-block") if "vda" in b.get("qdev", "")]
        self.facts.append(disks[0]["inserted"].get("dirty-bitmaps", []))
        return list(self.facts[-1])

    def as_modelled(self, models: Models | None = None) -> None:
        """Counts and hashes are those of the plain models; the hashes are facts."""
        models = self.models if models is None else models
        told, hashes = self.bitmaps(), {name: self.sha256(name) for name in models}
        assert {n: told[n]["count"] for n in models} == {n: m.count for n, m in models.items()}
        assert hashes == {name: model.sha256() for name, model in models.items()}
        self.facts.append(hashes)

    def same(self, content: Path, image: Path) -> None:
        assert self.compare(content, image) == "Images are identical."

    def image_is_clean(self, file: Path) -> None:
        command = ["timeout", LIMIT, self.build.program("qemu-img"), "check", "--output=json", file]
        found = json.loads(output(command, stderr=None)[1])
        wrong = {key: found.get(key, 0) for key in ("corruptions", "check-errors", "leaks")}
        assert not any(wrong.values()), found

    # Load

    def record(self, writes: Sequence[Write], models: Sequence[Bitmap] | None) -> None:
        for model in self.models.values() if models is None else models:
            model.record(writes)
        if self.content:
            self.content.apply(writes)

    def write(self, writes: Sequence[Write], models: Sequence[Bitmap] | None = None) -> None:
        """The guest writes; it is recorded in all models or in these."""
        for write in writes:
            self.vm.guest_io(GUEST_DISK, write.line)
        self.record(writes, models)

    def load(self, shares: Shares, job: str = "", models: Sequence[Bitmap] | None = None) -> None:
        """Two qemu-io over NBD and the guest write at once, each in its own part of the disk.

        A `job` must be running from before the first write until after the last.
        """
        writers = [self.writer(share) for share in shares[1:]]
        try:
            self.write(shares[0], models)
            for writer in writers:
                said, _ = writer.communicate()
                bad = writer.returncode != 0 or "failed" in said or "error" in said.lower()
                assert not bad, f"a writer ended with {writer.returncode}: {said[-1000:]}"
        finally:
            for writer in writers:
                writer.kill()
        running = {running["device"] for running in self.vm.command("query-block-jobs")}
        assert not job or job in running, "the job ended before the writers"
        for share in shares[1:]:
            self.record(share, models)

    def writer(self, writes: Sequence[Write]) -> subprocess.Popen[str]:
        program = self.build.program("qemu-io")
        lines = [word for write in writes for word in ("-c", write.line)]
        uri = f"nbd+unix:///live?socket={self.vm.folder}/nbd"
        command = words(["timeout", LIMIT, program, "-f", "raw", "-d", "unmap", *lines, uri])
        out, err = subprocess.PIPE, subprocess.STDOUT
        return subprocess.Popen(command, stdout=out, stderr=err, text=True)
