# SPDX-License-Identifier: GPL-2.0-or-later
"""One of two QEMU builds that do the same work: its machines, what is checked of them, what they say."""
import json
import subprocess
import time

from . import regions, say
from .machine import Machine
from .plain import Bitmap, Content, Write

GUEST_DISK = "/machine/peripheral/vda/virtio-backend"
LIMIT = 150  # seconds that one program may run
SLOW = 1 << 20  # bytes a second: a job that lasts as long as the writers


class Side:
    def __init__(self, build, folder, size: int, score):
        self.build, self.folder, self.size, self.score = build, folder, size, score
        self.name = "stock" if build.stock else "drop-in"
        self.facts = {}  # what must be the same on the other side
        folder.mkdir(parents=True)

    # What is checked and what is kept to be compared

    def check(self, about: str, got, wanted) -> None:
        good = got == wanted
        self.score.count(f"{self.name}: {about}", good)
        if not good:
            print(f"      got    {str(got)[:600]}\n      wanted {str(wanted)[:600]}", flush=True)

    def fact(self, about: str, value) -> None:
        if about in self.facts:
            raise say.Failure(f"two facts are called {about}")
        self.facts[about] = value

    def refused(self, vm, about: str, name: str, /, **arguments) -> None:
        """A command that must fail; its words are a fact."""
        answer = vm.ask(name, **arguments)
        if "error" not in answer:
            raise say.Failure(f"{about}: {name} did not fail")
        self.fact(f"error: {about}", answer["error"])

    # Programs

    def run(self, program: str, *words) -> str:
        return say.run(["timeout", str(LIMIT), self.build.program(program), *words]).stdout

    def create(self, name: str, *words):
        file = self.folder / f"{name}.qcow2"
        self.run("qemu-img", "create", "-q", "-f", "qcow2", *words, file, *([] if "-b" in words else [self.size]))
        return file

    def same(self, about: str, content, image, image_format: str = "qcow2") -> None:
        """qemu-img compares an image with the plain content."""
        done = subprocess.run(
            ["timeout", str(LIMIT), self.build.program("qemu-img"), "compare", "-f", "raw", "-F", image_format, content, image],
            capture_output=True, text=True, check=False,
        )
        self.check(about, (done.returncode, (done.stdout + done.stderr).strip()), (0, "Images are identical."))

    def image_is_clean(self, about: str, file, repair: bool = False) -> None:
        """With `repair`, clusters that nobody uses (a killed QEMU leaves them) are freed; anything worse is a failure."""
        command = ["timeout", str(LIMIT), self.build.program("qemu-img"), "check", "--output=json", file]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
        bad = {kind: found.get(kind, 0) for kind in ("corruptions", "check-errors", *([] if repair else ["leaks"]))}
        self.check(f"{about}: qemu-img check", bad, dict.fromkeys(bad, 0))
        if repair and found.get("leaks"):
            self.run("qemu-img", "check", "-q", "-r", "leaks", file)
            self.image_is_clean(f"{about}, leaks freed", file)

    def start(self, file, *arguments, build=None) -> Machine:
        return Machine(
            (build or self.build).program("qemu-system-x86_64"),
            "-blockdev", f"driver=qcow2,node-name=disk,discard=unmap,cache.no-flush=on,file.driver=file,file.filename={file},"
                         "file.discard=unmap,file.cache.no-flush=on",
            "-device", "virtio-blk-pci,id=vda,drive=disk,share-rw=on", *arguments, lives_at_most=300,
        )

    # Bitmaps

    def plain(self, granularity: int) -> Bitmap:
        return Bitmap(self.size, granularity)

    def add(self, vm, name: str, granularity: int, persistent: bool = False, disabled: bool = False) -> Bitmap:
        vm.command("block-dirty-bitmap-add", node="disk", name=name, granularity=granularity, persistent=persistent, disabled=disabled)
        return Bitmap(self.size, granularity, not disabled)

    def listed(self, vm):
        """The bitmaps of the disk, as query-block lists them."""
        return next(b for b in vm.command("query-block") if "vda" in b.get("qdev", ""))["inserted"].get("dirty-bitmaps", [])

    def of_node(self, vm, name: str, node: str = "disk") -> dict:
        nodes = vm.command("query-named-block-nodes", flat=True)
        found = next(n for n in nodes if n["node-name"] == node)
        return next(b for b in found["dirty-bitmaps"] if b.get("name") == name)

    def sha256(self, vm, name: str) -> str:
        return vm.command("x-debug-block-dirty-bitmap-sha256", node="disk", name=name)["sha256"]

    def as_modelled(self, vm, about: str, models) -> None:
        """Counts and hashes are those of the plain models; with the whole list they are facts."""
        counts = {b["name"]: b["count"] for b in self.listed(vm) if b.get("name") in models}
        self.check(f"{about}: counts of {len(models)} bitmaps", counts, {n: m.count for n, m in models.items()})
        hashes = {name: self.sha256(vm, name) for name in models}
        self.check(f"{about}: hashes", hashes, {n: m.sha256() for n, m in models.items()})
        self.fact(f"{about}: hashes", hashes)

    def serve(self, vm) -> str:
        socket = f"{vm.sockets.name}/nbd"
        vm.command("nbd-server-start", addr={"type": "unix", "data": {"path": socket}})
        return socket

    def read_over_nbd(self, vm, name: str, granularity: int):
        """The regions of a bitmap that may be in use: a copy of it is exported."""
        vm.transaction(
            ("block-dirty-bitmap-add", dict(node="disk", name="still", granularity=granularity, disabled=True)),
            ("block-dirty-bitmap-merge", dict(node="disk", target="still", bitmaps=[name])),
        )
        vm.command("block-export-add", type="nbd", id="still", node_name="disk", name="still", bitmaps=["still"])
        found = regions.of_bitmap(self.build.program("qemu-img"), f"{vm.sockets.name}/nbd", "still", "still")
        vm.command("block-export-del", id="still")
        wait_for(vm, "BLOCK_EXPORT_DELETED", id="still")
        vm.command("block-dirty-bitmap-remove", node="disk", name="still")
        return found

    # Load

    def guest_writes(self, vm, writes, models=(), content: Content = None) -> None:
        for write in writes:
            vm.guest_io(GUEST_DISK, write.line)
        written(writes, models, content)

    def load(self, vm, about: str, shares, models, content: Content, job: str = None) -> None:
        """Two qemu-io over NBD and the guest write at once, each in its own part of the disk. A
        `job` must be running from before the first write until after the last."""
        uri = f"nbd+unix:///live?socket={vm.sockets.name}/nbd"
        writers = [self.writer(uri, share) for share in shares[1:]]
        try:
            for write in shares[0]:
                vm.guest_io(GUEST_DISK, write.line)
            for writer in writers:
                output, _ = writer.communicate()
                if writer.returncode != 0 or "failed" in output or "error" in output.lower():
                    raise say.Failure(f"a writer ended with {writer.returncode}: {output[-1000:]}")
        finally:
            for writer in writers:
                writer.kill()
        if job:
            running = {j["device"] for j in vm.command("query-block-jobs")}
            self.check(f"{about}: the job ran as long as the writers", job in running, True)
        for share in shares:
            written(share, models, content)

    def writer(self, uri: str, writes) -> subprocess.Popen:
        words = [word for write in writes for word in ("-c", write.line)]
        return subprocess.Popen(
            ["timeout", str(LIMIT), self.build.program("qemu-io"), "-f", "raw", "-d", "unmap", *words, uri],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )


def written(writes: list[Write], models, content) -> None:
    for model in models:
        model.record(writes)
    if content:
        content.apply(writes)


def wait_for(vm, *names, **data) -> dict:
    """Waits for one of these events with these data; takes and returns it."""
    while True:
        for event in vm.events:
            if event["event"] in names and all(event["data"].get(k) == v for k, v in data.items()):
                vm.events.remove(event)
                return event
        message = vm.receive()
        if "event" in message:
            vm.events.append(message)


def wait_until(about: str, condition, limit: int = LIMIT) -> None:
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise say.Failure(f"{about}: not within {limit} s")
        time.sleep(0.05)
