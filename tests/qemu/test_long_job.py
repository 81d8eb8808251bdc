# SPDX-License-Identifier: GPL-2.0-or-later
"""A bigger, longer job on real QEMU, done twice: by the build on the library and by stock QEMU.

Disks of 4 TiB (sparse) with 20 bitmaps; NBD, backup and mirror under load, live migration, and a
kill -9 in the middle of a job. What QEMU says is compared with plain models kept here, and all that
does not depend on timing is compared between the two builds: hashes, lists, error texts. `--seed`
gives other writes.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from model import MIB, Bitmap, Content, Guest, Write
from qdb_tools import debian, paths, symbols
from qdb_tools.build import Build
from qdb_tools.machine import Machine
from qdb_tools.process import run
from session import GUEST_DISK, SLOW, Models, Session, merge, on, wait_until

# The disk ends in the middle of a granule of every bitmap but the finest, and of a cluster.
SIZE = (4 << 40) + 3 * 64 * 1024 + 5 * 512
K = 1024
# How many bitmaps of each granularity.
GRANULARITIES = {
    512: 1,
    4 * K: 2,
    8 * K: 1,
    16 * K: 1,
    32 * K: 1,
    64 * K: 5,
    128 * K: 2,
    256 * K: 2,
    512 * K: 2,
    1024 * K: 3,
}
# Its hash takes seconds: a gigabyte of bits. The image format has no room to store it.
FINEST = "b00"
ALL = range(0, SIZE)
EXPORTED = ["b01", "b03", "b08", "b09", "b13", "b14", "b18", "b19"]


def shares(seed: int, count: int) -> list[list[Write]]:
    """Writes for the guest and two other writers, which do not meet."""
    third = SIZE // 3 // MIB * MIB
    parts = [range(0, third), range(third, 2 * third), range(2 * third, SIZE)]
    return [Guest(seed * 10 + i).writes(count, part) for i, part in enumerate(parts)]


def flags(bitmap: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in bitmap.items() if key != "count"}


def by_name(bitmaps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(bitmaps, key=lambda bitmap: bitmap["name"])


class Job(Session):
    """The parts of the job, for one side."""

    def __init__(self, build: Build, other: Build, folder: Path, seed: int) -> None:
        super().__init__(build, folder, SIZE)
        self.other, self.seed = other, seed

    def twenty(self, vm: Machine) -> dict[str, Bitmap]:
        """20 bitmaps; every other one is persistent, every fifth disabled."""
        all_of = [g for g, count in GRANULARITIES.items() for _ in range(count)]
        return {
            f"b{i:02}": self.add(vm, f"b{i:02}", g, persistent=i % 2 == 1, disabled=i % 5 == 4)
            for i, g in enumerate(all_of)
        }

    def names(self, vm: Machine) -> list[str]:
        return sorted(bitmap["name"] for bitmap in self.listed(vm))

    # 20 bitmaps, NBD

    def bitmaps(self) -> None:
        guest, disk = Guest(self.seed), self.create("bitmaps")
        with self.start(disk) as vm:
            models = self.twenty(vm)
            self.guest_writes(vm, guest.writes(120, ALL, discards=True), models.values())
            self.long_writes(vm, models)
            others = {name: model for name, model in models.items() if name != FINEST}
            self.as_modelled(vm, "20 bitmaps, written", others)
            self.transactions(vm, models, guest)
            self.mistakes(vm)
            self.as_modelled(vm, "20 bitmaps, after transactions", models)
            self.fact("query-block of 20 bitmaps", self.listed(vm))
            self.nbd(vm, models)
            vm.quit()
        info = json.loads(self.img("info", "--output=json", disk))
        self.fact("qemu-img info", info["format-specific"]["data"]["bitmaps"])
        stored = {name: model for i, (name, model) in enumerate(models.items()) if i % 2 == 1}
        self.image_is_clean("20 bitmaps", disk)
        # The image is read by the other build too, and written again.
        for who, build in (("by the other build", self.other), ("again", self.build)):
            with self.start(disk, build=build) as vm:
                self.as_modelled(vm, f"stored bitmaps, {who}", stored)
                assert self.names(vm) == sorted(stored)
                self.guest_writes(vm, guest.writes(10, ALL), stored.values())
                vm.quit()
        self.image_is_clean("20 bitmaps, in the end", disk)

    def long_writes(self, vm: Machine, models: Models) -> None:
        end = SIZE - 512
        for line, start, length in (
            ("write -z", 1 << 40, 1 << 30),
            ("discard", (1 << 40) + (700 << 20), 1 << 30),
            ("write -P 7", end, 512),
            ("discard", end - 5 * MIB, 3 * MIB),
        ):
            vm.guest_io(GUEST_DISK, f"{line} {start} {length}")
            for model in models.values():
                if model.recording:
                    model.add(start, start + length)

    def transactions(self, vm: Machine, models: Models, guest: Guest) -> None:
        vm.transaction(
            on("clear", "b07"),
            on("disable", "b08"),
            on("enable", "b09"),
            merge("b14", "b01", "b17", "b05"),
            on("clear", "b18"),
            merge("b18", "b12"),
        )
        models["b07"].clear()
        models["b08"].recording, models["b09"].recording = False, True
        models["b14"].merge(models["b01"], models["b17"], models["b05"])
        models["b18"].clear()
        models["b18"].merge(models["b12"])
        self.guest_writes(vm, guest.writes(60, ALL, discards=True), models.values())

        before = self.listed(vm)
        first = [on("clear", "b06"), merge("b10", "b02"), on("disable", "b11"), on("add", "brief")]
        for about, last in (
            ("merge of nothing there", merge("b06", "b06", "nobody")),
            ("add of a name there", on("add", "b03")),
            ("clear of nothing there", on("clear", "nobody")),
        ):
            actions = [*first, on("remove", "b16"), last]
            self.refused_transaction(vm, f"transaction, {about}", *actions)
            assert self.listed(vm) == before, f"a transaction that fails ({about}) changes nothing"

        self.do(vm, merge("b03", "b19", "b09"))
        models["b03"].merge(models["b19"], models["b09"])
        self.do(vm, merge("b13", "b12", {"node": "disk", "name": "b04"}))
        models["b13"].merge(models["b12"], models["b04"])
        self.do(vm, on("clear", "b15"))
        models["b15"].clear()
        self.guest_writes(vm, guest.writes(40, range(SIZE // 2, SIZE)), models.values())

    def mistakes(self, vm: Machine) -> None:
        """Each is refused, with the same words."""
        small = self.folder / "small.qcow2"
        self.img("create", "-q", "-f", "qcow2", small, MIB)
        file = {"driver": "file", "filename": str(small)}
        vm.command("blockdev-add", driver="qcow2", node_name="small", file=file)
        self.do(vm, on("add", "little", node="small"))
        for about, action in (
            ("a name twice", on("add", "b01")),
            ("no name", on("add", "")),
            ("a long name", on("add", "n" * 1024, persistent=True)),
            ("granularity 256", on("add", "new", granularity=256)),
            ("granularity 3000", on("add", "new", granularity=3000)),
            ("granularity 0", on("add", "new", granularity=0)),
            ("too large to store", on("add", "new", granularity=512, persistent=True)),
            ("remove nothing", on("remove", "nobody")),
            ("clear nothing", on("clear", "nobody")),
            ("enable nothing", on("enable", "nobody")),
            ("disable, no node", on("disable", "b01", node="nowhere")),
            ("merge of another size", merge("b01", {"node": "small", "name": "little"})),
            (
                "hash of nothing",
                ("x-debug-block-dirty-bitmap-sha256", {"node": "disk", "name": "nobody"}),
            ),
        ):
            self.refused(vm, about, action)
        vm.command("blockdev-del", node_name="small")

    def nbd(self, vm: Machine, models: Models) -> None:
        """Extents, as two programs read them."""
        socket = self.serve(vm)
        vm.transaction(*[on("disable", name) for name in EXPORTED])
        for name in EXPORTED:
            models[name].recording = False
        self.export(vm, "map", bitmaps=EXPORTED)
        self.fact("query-block, bitmaps exported", self.listed(vm))
        for kind in ("clear", "enable", "remove"):
            self.refused(vm, f"{kind} of an exported bitmap", on(kind, "b01"))
        self.refused(vm, "merge into an exported bitmap", merge("b01", "b02"))
        for name in EXPORTED:
            found = self.regions(vm, "map", name)
            assert found == models[name].regions(), f"NBD, qemu-img map of {name}"
            self.fact(f"NBD, regions of {name}", found)
        for name in EXPORTED[:1] + EXPORTED[-3:]:
            about = f"--map=qemu:dirty-bitmap:{name}"
            uri = f"nbd+unix:///map?socket={socket}"
            told = json.loads(run(["timeout", "60", "nbdinfo", "--json", about, uri]))
            found = [(area["offset"], area["length"]) for area in told if area["type"] & 1]
            assert found == models[name].regions(), f"NBD, nbdinfo of {name}"
        vm.command("nbd-server-stop")

    # Backup and mirror under load

    def start_backup(self, vm: Machine, target: str, **more: Any) -> None:
        job = {"device": "disk", "job_id": "backup", "target": target, "speed": SLOW}
        vm.command("blockdev-backup", **job, **more)

    def target(self, vm: Machine, name: str, *words: str) -> Path:
        path = self.create(name, *words)
        file = {"driver": "file", "filename": str(path)}
        vm.command("blockdev-add", driver="qcow2", node_name=name, file=file, backing=None)
        return path

    def finish(self, vm: Machine, target: str) -> None:
        vm.command("block-job-set-speed", device="backup", speed=0)
        vm.finish_job("backup")
        vm.command("blockdev-del", node_name=target)

    def moment(self, content: Content) -> Path:
        """What is on the disk now."""
        copy = self.folder / "moment.raw"
        run(["cp", "--sparse=always", content.file, copy])
        return copy

    def backups(self) -> None:
        disk, content = self.create("disk"), Content(self.folder / "content.raw", SIZE)
        with self.start(disk) as vm:
            self.serve(vm)
            self.export(vm, "live", writable=True)
            self.guest_writes(vm, Guest(self.seed + 1).writes(150, ALL), content=content)
            models: dict[str, Bitmap] = {}
            full = self.full_backup(vm, models, content)
            first = self.incremental_backup(vm, models, content, full)
            self.failing_backup(vm, models, content, first)
            self.cancelled_backup(vm, models, content, first)
            del models["inc"]
            before_pivot = self.mirrors(vm, models, content)
            vm.quit()
        self.same("disk after two mirrors", before_pivot, disk)
        pivot = self.folder / "pivot.qcow2"
        self.same("mirror after the pivot and later writes", content.file, pivot)
        for name in ("disk", "first", "second", "pivot"):
            self.image_is_clean(name, self.folder / f"{name}.qcow2")

    def full_backup(self, vm: Machine, models: dict[str, Bitmap], content: Content) -> Path:
        then, full = self.moment(content), self.target(vm, "full")
        made = {"inc": (64 * K, True), "fine": (4 * K, False), "coarse": (1024 * K, True)}
        job = {"device": "disk", "job_id": "backup", "target": "full", "sync": "top", "speed": SLOW}
        vm.transaction(
            *[on("add", n, granularity=g, persistent=p) for n, (g, p) in made.items()],
            ("blockdev-backup", job),
        )
        models.update({name: self.plain(g) for name, (g, _) in made.items()})
        writes = shares(self.seed + 2, 50)
        self.load(vm, "full backup", writes, models.values(), content, "backup")
        self.finish(vm, "full")
        self.same("full backup under load: the disk as it was at the start", then, full)
        self.as_modelled(vm, "bitmaps after the full backup", models)
        return full

    def incremental_backup(
        self, vm: Machine, models: dict[str, Bitmap], content: Content, full: Path
    ) -> Path:
        then = self.moment(content)
        first = self.target(vm, "first", "-b", str(full), "-F", "qcow2")
        self.start_backup(vm, "first", sync="bitmap", bitmap="inc", bitmap_mode="on-success")
        running = [b for b in self.listed(vm) if b.get("name") in models]
        self.fact("query-block, incremental backup runs", running)
        for kind in ("clear", "disable", "remove"):
            self.refused(vm, f"{kind} of a bitmap that a job has", on(kind, "inc"))
        second = {"job_id": "second", "device": "disk", "target": "first", "sync": "incremental"}
        second["bitmap"] = "inc"
        self.refused(vm, "a second job on a bitmap", ("blockdev-backup", second))
        models["inc"].clear()
        writes = shares(self.seed + 3, 50)
        self.load(vm, "incremental backup", writes, models.values(), content, "backup")
        self.finish(vm, "first")
        self.same("incremental backup under load: the chain is the disk then", then, first)
        self.as_modelled(vm, "bitmaps after the incremental backup", models)
        return first

    def failing_backup(self, vm: Machine, models: Models, content: Content, backing: Path) -> None:
        """The bitmap has what it had, and what was written while the job was there."""
        inc = models["inc"]
        for number, then in (4, "cancelled"), (5, "reported"):
            image = self.create(f"bad-{then}", "-b", str(backing), "-F", "qcow2")
            file = {
                "driver": "blkdebug",
                "image": {"driver": "file", "filename": str(image)},
                "inject-error": [{"event": "write_aio", "errno": 5}],
            }
            vm.command("blockdev-add", driver="qcow2", node_name="bad", backing=None, file=file)
            stays = then == "cancelled"
            mode, on_error = ("on-success", "stop") if stays else ("never", "report")
            how = {"sync": "bitmap", "bitmap": "inc", "bitmap_mode": mode}
            self.start_backup(vm, "bad", **how, on_target_error=on_error)
            if stays:
                vm.event("BLOCK_JOB_ERROR", device="backup")
                # A write to what the job has yet to copy would fail: the target takes nothing.
                writes = shares(self.seed + number, 30)
                clean = [[w for w in share if not inc.touches(w)] for share in writes]
                about = "backup that has failed"
                self.load(vm, about, clean, models.values(), content, "backup")
                vm.command("block-job-cancel", device="backup", force=True)
            end = vm.event("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED", device="backup")
            error = end["data"].get("error")
            self.fact(f"error: failing backup, {then}", (end["event"], error))
            assert error == (None if stays else "Input/output error")
            vm.command("blockdev-del", node_name="bad")
            self.as_modelled(vm, f"bitmaps after a backup that failed and was {then}", models)

    def cancelled_backup(
        self, vm: Machine, models: Models, content: Content, backing: Path
    ) -> None:
        """Mode always: what was copied is clean, what was not is dirty; the next job ends it."""
        inc = models["inc"]
        second = self.target(vm, "second", "-b", str(backing), "-F", "qcow2")
        how = {"sync": "bitmap", "bitmap": "inc", "bitmap_mode": "always"}
        self.start_backup(vm, "second", **how)
        news = self.plain(inc.granularity)
        seen = [*models.values(), news]
        self.load(vm, "cancelled backup", shares(self.seed + 6, 20), seen, content, "backup")

        def progress() -> int:
            return int(vm.command("query-block-jobs")[0]["offset"])

        done = progress()
        vm.command("block-job-set-speed", device="backup", speed=4 * SLOW)
        wait_until("the job copies a part", lambda: progress() >= done + 4 * MIB)
        vm.command("block-job-cancel", device="backup", force=True)
        vm.event("BLOCK_JOB_CANCELLED", device="backup")
        left = self.plain(inc.granularity)
        for start, length in self.read_over_nbd(vm, "inc", inc.granularity):
            left.add(start, start + length)
        assert news.within(left), "not all that was written meanwhile is dirty"
        assert left.within(inc), "something is dirty that was not written"
        assert news.count < left.count < inc.count, "it had copied nothing, or all"
        then = self.moment(content)
        self.start_backup(vm, "second", **how)
        self.finish(vm, "second")
        self.same("backup after the cancelled one: the chain is the disk", then, second)
        inc.clear()
        self.as_modelled(vm, "bitmap after the backup that ended the work", {"inc": inc})

    def mirrors(self, vm: Machine, models: Models, content: Content) -> Path:
        """Returns the content before the pivot."""
        common = {"device": "disk", "format": "qcow2"}
        no = {**common, "job_id": "no", "target": str(self.folder / "no.qcow2")}
        no["sync"] = "incremental"
        self.refused(vm, "mirror, sync=incremental", ("drive-mirror", no))
        before_pivot = self.folder
        for number, name, granularity, mode in (
            (7, "mirror", 64 * K, "write-blocking"),
            (8, "pivot", 16 * K, "background"),
        ):
            file = self.folder / f"{name}.qcow2"
            vm.command(
                "drive-mirror",
                **common,
                job_id="mirror",
                target=str(file),
                node_name=name,
                sync="full",
                mode="absolute-paths",
                granularity=granularity,
                copy_mode=mode,
                speed=SLOW,
            )
            writes, about = shares(self.seed + number, 40), f"{name}, {mode}"
            self.load(vm, about, writes, models.values(), content, "mirror")
            vm.command("block-job-set-speed", device="mirror", speed=0)
            vm.event("BLOCK_JOB_READY", device="mirror")
            writes = shares(self.seed + number + 20, 20)
            self.load(vm, f"{about}, ready", writes, models.values(), content, "mirror")
            if name == "pivot":
                before_pivot = self.moment(content)
                vm.command("block-job-complete", device="mirror")
                vm.finish_job("mirror")
            else:
                vm.command("block-job-cancel", device="mirror")
                vm.finish_job("mirror")
                self.same(f"mirror under load, {mode}", content.file, file)
            self.of_old_disk(vm, f"bitmaps after {name}", models)
        # The guest is on the mirror now, the old disk's bitmaps stay as they are.
        self.load(vm, "after the pivot", shares(self.seed + 9, 10), [], content)
        self.of_old_disk(vm, "bitmaps of the old disk", models)
        return before_pivot

    def of_old_disk(self, vm: Machine, about: str, models: Models) -> None:
        told = {n: (self.of_node(vm, n)["count"], self.sha256(vm, n)) for n in models}
        assert told == {name: (m.count, m.sha256()) for name, m in models.items()}, about
        self.fact(about, told)

    # Live migration

    def migrate(self, source: Machine, target: Machine, postcopy: bool) -> None:
        uri = f"unix:{target.folder}/migration"
        target.command("migrate-incoming", uri=uri)
        source.command("migrate", uri=uri)
        if postcopy:
            source.command("migrate-start-postcopy")

        def runs() -> bool:
            return bool(target.command("query-status")["status"] == "running")

        # In postcopy the guest runs at the other end before the bitmaps are all there.
        wait_until("the guest runs at the other end", runs, 60)

    def migrated(self, *machines: Machine) -> None:
        for vm in machines:

            def ended(vm: Machine = vm) -> bool:
                status = vm.command("query-migrate").get("status")
                return status in ("completed", "failed", "cancelled")

            wait_until("migration", ended, 60)
            state = vm.command("query-migrate")
            assert state["status"] == "completed", state

    def ready_to_migrate(self, vm: Machine, names: Iterable[str]) -> None:
        wanted = [{"capability": c, "state": True} for c in ("events", "dirty-bitmaps")]
        vm.command("migrate-set-capabilities", capabilities=wanted)
        # Bitmaps go over when the guest stands still; QEMU does not begin that if it may take too
        # long, and takes each granule for a byte. What it measures of the idle channel is far too
        # low.
        old = self.build.version == "7.2"
        fast = {} if old else {"avail_switchover_bandwidth": 1 << 40}
        bitmaps = [{"name": n, "alias": f"alias-{n}"} for n in names]
        mapping = [{"node-name": "disk", "alias": "the-disk", "bitmaps": bitmaps}]
        vm.command(
            "migrate-set-parameters",
            downtime_limit=60000,
            max_bandwidth=1 << 33,
            block_bitmap_mapping=mapping,
            **fast,
        )

    def migration(self) -> None:
        guest, disk = Guest(self.seed + 30), self.create("migration")
        waiting = ("-incoming", "defer")
        with (
            self.start(disk) as one,
            self.start(disk, *waiting) as two,
            self.start(disk, *waiting) as three,
        ):
            models = self.twenty(one)
            self.guest_writes(one, guest.writes(100, ALL, discards=True), models.values())
            # The finest one is not in the mapping: it stays behind.
            del models[FINEST]
            for vm in (one, two, three):
                self.ready_to_migrate(vm, models)
            before = by_name(b for b in self.listed(one) if b["name"] != FINEST)
            self.as_modelled(one, "before the migration", models)

            # QEMU 7.2 can't be told how fast the channel is: it goes by postcopy twice.
            self.migrate(one, two, postcopy=self.build.version == "7.2")
            self.migrated(one, two)
            self.as_modelled(two, "after the migration", models)
            assert by_name(self.listed(two)) == before
            self.fact("query-block after the migration", self.listed(two))
            one.quit()

            self.guest_writes(two, guest.writes(60, ALL), models.values())
            self.migrate(two, three, postcopy=True)
            # Writes while the bitmaps are on their way are in them in the end.
            self.guest_writes(three, guest.writes(60, ALL), models.values())
            self.migrated(two, three)
            self.as_modelled(three, "after the postcopy migration", models)
            after = by_name(self.listed(three))
            assert [flags(b) for b in after] == [flags(b) for b in before]
            self.fact("query-block after postcopy", after)
            two.quit()
            three.quit()
        self.image_is_clean("migrated disk", disk)
        stored = {name: model for name, model in models.items() if int(name[1:]) % 2 == 1}
        with self.start(disk) as vm:
            self.as_modelled(vm, "migrated, stored and loaded", stored)
            vm.quit()

    # kill -9

    def killed(self) -> None:
        disk, content = self.create("killed"), Content(self.folder / "killed.raw", SIZE)
        quiet, guest = self.folder / "quiet.qcow2", Guest(self.seed + 40)
        with self.start(disk) as vm:
            # kill: used by the job; beside: enabled; off: disabled.
            sizes = {"kill": 64 * K, "beside": 4 * K, "off": 128 * K}
            models = {name: self.add(vm, name, g, True) for name, g in sizes.items()}
            self.guest_writes(vm, guest.writes(80, ALL), models.values(), content)
            self.do(vm, on("disable", "off"))
            vm.quit()
        run(["cp", "--sparse=always", disk, quiet])
        self.kill_in_backup(disk, quiet, models, content)

        self.image_is_clean("disk after kill -9", disk, repair=True)
        self.image_is_clean("read-only disk after kill -9", quiet)
        made = self.repaired(disk, models, guest, content)
        self.same("content after kill -9", content.file, disk)
        with self.start(disk) as vm:
            self.as_modelled(vm, "new bitmaps, stored and loaded", made)
            self.fact("query-block, repaired in part", self.listed(vm))
            self.do(vm, on("remove", "beside"))
            vm.transaction(on("remove", "off"))
            assert self.names(vm) == ["fresh", "kill"], "inconsistent bitmaps can be removed"
            vm.quit()
        self.image_is_clean("disk, in the end", disk)
        # The read-only disk's bitmaps were open too when QEMU was killed; they were not in use.
        with self.start(quiet) as vm:
            self.as_modelled(vm, "bitmaps of the read-only disk after kill -9", models)
            vm.quit()

    def kill_in_backup(self, disk: Path, quiet: Path, models: Models, content: Content) -> None:
        node = f"driver=qcow2,node-name=quiet,read-only=on,file.driver=file,file.filename={quiet}"
        reader = ("-blockdev", node, "-device", "virtio-blk-pci,id=vdb,drive=quiet")
        with self.start(disk, *reader) as vm:
            self.as_modelled(vm, "loaded before the kill", models)
            clear = on("clear", "off", node="quiet")
            self.refused(vm, "clear of a bitmap of a read-only disk", clear)
            into = merge("off", "kill", node="quiet")
            self.refused(vm, "merge into a bitmap of a read-only disk", into)
            self.serve(vm)
            self.export(vm, "live", writable=True)
            self.do(vm, on("add", "young", granularity=64 * K, persistent=True))
            self.target(vm, "half")
            self.start_backup(vm, "half", sync="incremental", bitmap="kill")
            writes = shares(self.seed + 41, 20)
            self.load(vm, "backup that is killed", writes, [], content, "backup")
            named = [flags(b) for b in self.listed(vm) if b.get("name")]
            self.fact("query-block before the kill", named)
            # What was not flushed may be lost, in any QEMU.
            vm.guest_io(GUEST_DISK, "flush")

    def repaired(
        self, disk: Path, models: Models, guest: Guest, content: Content
    ) -> dict[str, Bitmap]:
        """New bitmaps beside the inconsistent ones, and in the place of one."""
        with self.start(disk) as vm:
            inconsistent = {b["name"]: b.get("inconsistent") for b in self.listed(vm)}
            assert inconsistent == dict.fromkeys(models, True)
            self.fact("query-block after kill -9", self.listed(vm))
            self.target(vm, "later")
            for name in models:
                for kind in ("clear", "enable", "disable"):
                    self.refused(vm, f"{kind} of inconsistent {name}", on(kind, name))
                backup = {"device": "disk", "job_id": "backup", "target": "later"}
                backup |= {"sync": "incremental", "bitmap": name}
                about = f"backup with inconsistent {name}"
                self.refused(vm, about, ("blockdev-backup", backup))
                export = {"type": "nbd", "id": "e", "node_name": "disk", "bitmaps": [name]}
                about = f"export of inconsistent {name}"
                self.refused(vm, about, ("block-export-add", {**export, "name": "e"}))
            made = {"fresh": self.add(vm, "fresh", 4 * K, True)}
            self.refused(vm, "merge of an inconsistent bitmap", merge("fresh", "kill"))
            self.refused(vm, "merge into an inconsistent bitmap", merge("kill", "fresh"))
            self.guest_writes(vm, guest.writes(30, ALL), made.values(), content)
            self.do(vm, on("remove", "kill"))
            made["kill"] = self.add(vm, "kill", 64 * K, True)
            self.guest_writes(vm, guest.writes(30, ALL), made.values(), content)
            self.as_modelled(vm, "new bitmaps after kill -9", made)
            vm.quit()
        return made


def test_whose_code(stock: Build, dropin: Build) -> None:
    theirs, ours = (build.program("qemu-system-x86_64") for build in (stock, dropin))
    assert symbols.has_library(ours) and not symbols.of_c(ours)
    assert symbols.of_c(theirs) and not symbols.has_library(theirs)


@pytest.mark.parametrize("part", ["bitmaps", "backups", "migration", "killed"])
def test_part(part: str, stock: Build, dropin: Build, pytestconfig: pytest.Config) -> None:
    debian.need(["libnbd-bin"], "reading bitmaps with nbdinfo")
    seed = pytestconfig.getoption("seed") * 1000
    # On a disk: in memory there may be no room.
    with paths.scratch() as folder:
        jobs = []
        for build, other in ((dropin, stock), (stock, dropin)):
            jobs.append(Job(build, other, folder / build.label, seed))
            getattr(jobs[-1], part)()
        ours, theirs = (job.facts for job in jobs)
        assert ours and ours == theirs
