# SPDX-License-Identifier: GPL-2.0-or-later
"""A bigger, longer job on real QEMU, done twice: by the build on the library and by stock QEMU.

Disks of 4 TiB (sparse) with 20 bitmaps; NBD, backup and mirror under load, live migration, and a
kill -9 in the middle of a job. Counts, hashes and regions are those of plain models kept here;
lists and error texts those of the other build. `--seed` gives other writes.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from qdb_tools import debian, paths, regions, symbols
from qdb_tools.build import Build
from qdb_tools.machine import Action, Machine, transaction
from qdb_tools.model import MIB, Bitmap, Guest, Write, script
from qdb_tools.process import run, wait_until
from qdb_tools.session import GUEST_DISK, IDENTICAL, LIMIT, Models, Session, backup, merge, on

K, TIB = 1024, 1 << 40
# The disk ends in the middle of a granule of every bitmap but the finest, and of a cluster.
SIZE = 4 * TIB + 3 * 64 * K + 5 * 512
ALL = range(0, SIZE)
SLOW = 1 << 20  # bytes a second: a job that lasts as long as the writers
# Of the bitmaps b01 to b19, in KiB; b00 has 512 bytes a bit.
GRANULARITIES = "4 4 8 16 32 64 64 64 64 64 128 128 256 256 512 512 1024 1024 1024"
# Its hash takes seconds: a gigabyte of bits. The image format has no room to store it.
FINEST = "b00"
EXPORTED = ["b01", "b03", "b08", "b09", "b13", "b14", "b18", "b19"]
LONG_WRITES = [Write("zero", TIB, 1 << 30), Write("discard", TIB + 700 * MIB, 1 << 30)]
AT_THE_END = [Write("write", SIZE - 512, 512, 7), Write("discard", SIZE - 6 * MIB, 3 * MIB)]
Listed = dict[str, dict[str, Any]]


def each(kinds: str, name: str) -> list[Action]:
    return [on(kind, name) for kind in kinds.split()]


def flags(bitmaps: Listed) -> Listed:
    return {name: bitmap | {"count": None} for name, bitmap in bitmaps.items() if name}


class Job(Session):
    """The parts of the job, for one side."""

    def add_twenty(self) -> None:
        """Every other one is persistent, every fifth disabled."""
        for i, size in enumerate([512, *(K * int(n) for n in GRANULARITIES.split())]):
            name, persistent = f"b{i:02}", i % 2 == 1
            self.do(on("add", name, granularity=size, persistent=persistent, disabled=i % 5 == 4))

    def keep_stored(self) -> None:
        """Of the twenty, those that are not persistent are gone with their QEMU."""
        self.models = {name: m for name, m in self.models.items() if int(name[1:]) % 2 == 1}

    def listed(self) -> Listed:
        """The bitmaps, as QEMU lists them: a fact."""
        found = self.bitmaps()
        self.facts.append(list(found.values()))
        return found

    def bitmaps_and_nbd(self) -> None:
        guest, disk = Guest(self.seed), self.create("bitmaps")
        with self.start(disk):
            self.add_twenty()
            self.write(guest.writes(120, ALL, "zero discard"))
            self.write(LONG_WRITES + AT_THE_END)
            self.as_modelled({name: m for name, m in self.models.items() if name != FINEST})
            self.transactions(guest)
            self.mistakes()
            self.as_modelled()
            self.listed()
            self.nbd()
        info = json.loads(self.img("info", "--output=json", disk))
        self.facts.append(info["format-specific"]["data"]["bitmaps"])
        self.keep_stored()
        # The image is read by the other build too, and written again.
        for build in (Build(self.build.version, not self.build.stock), self.build):
            with self.start(disk, build=build):
                self.as_modelled()
                assert self.bitmaps().keys() == self.models.keys()
                self.write(guest.writes(10, ALL))

    def transactions(self, guest: Guest) -> None:
        switched = [on("clear", "b07"), on("disable", "b08"), on("enable", "b09")]
        merged = [merge("b14", "b01", "b17", "b05"), on("clear", "b18"), merge("b18", "b12")]
        self.do(*switched, *merged)
        self.write(guest.writes(60, ALL, "zero discard"))

        before = self.listed()
        first = [on("clear", "b06"), merge("b10", "b02"), on("disable", "b11"), on("add", "brief")]
        for last in merge("b06", "b06", "nobody"), on("add", "b03"), on("clear", "nobody"):
            self.refused(transaction(*first, on("remove", "b16"), last))
            assert self.listed() == before, "a transaction that fails changes nothing"

        self.do(merge("b03", "b19", "b09"))
        self.do(merge("b13", "b12", {"node": "disk", "name": "b04"}))
        self.do(on("clear", "b15"))
        self.write(guest.writes(40, range(SIZE // 2, SIZE)))

    def mistakes(self) -> None:
        self.vm.command("blockdev-add", driver="null-co", node_name="small", size=MIB)
        self.do(on("add", "little", node="small"))
        self.refused(on("add", "b01"), on("add", ""), on("add", "n" * 1024, persistent=True))
        self.refused(*[on("add", "new", granularity=size) for size in (256, 3000, 0)])
        self.refused(on("add", "too large", granularity=512, persistent=True))
        self.refused(*each("remove clear enable", "nobody"), on("disable", "b01", node="nowhere"))
        self.refused(merge("b01", {"node": "small", "name": "little"}))
        nobody = {"node": "disk", "name": "nobody"}
        self.refused(("x-debug-block-dirty-bitmap-sha256", nobody))
        self.vm.command("blockdev-del", node_name="small")

    def nbd(self) -> None:
        """Extents, as two programs read them."""
        socket = self.vm.serve()
        self.do(*[on("disable", name) for name in EXPORTED])
        self.vm.export("disk", "map", bitmaps=EXPORTED)
        self.listed()
        self.refused(*each("clear enable remove", "b01"), merge("b01", "b02"))
        for name in EXPORTED:
            assert self.regions("map", name) == self.models[name].regions(), name
            assert regions.by_nbdinfo(socket, "map", name) == self.models[name].regions(), name
        self.vm.command("nbd-server-stop")

    def keep_content(self) -> None:
        self.content = self.folder / "content.raw"
        run(["truncate", "-s", SIZE, self.content])

    def moment(self) -> Path:
        """What is on the disk now."""
        run(["cp", "--sparse=always", self.content, self.folder / "moment.raw"])
        return self.folder / "moment.raw"

    def load(self, seed: int, count: int, job: str = "", spared: Bitmap | None = None) -> None:
        """Two qemu-io over NBD and the guest write at once, each in its own third of the disk.

        A `job` must be running from before the first write until after the last. None touches
        what is dirty in the bitmap that is `spared`.
        """
        third, first = SIZE // 3 // MIB * MIB, (self.seed + seed) * 10
        parts = [range(0, third), range(third, 2 * third), range(2 * third, SIZE)]
        shares = [Guest(first + i).writes(count, part) for i, part in enumerate(parts)]
        if spared:
            shares = [[w for w in share if not spared.touches(w)] for share in shares]
        client = ["timeout", LIMIT, self.build.program("qemu-io"), *"-f raw -d unmap".split()]
        client.append(f"nbd+unix:///live?socket={self.vm.folder}/nbd")
        with ThreadPoolExecutor() as pool:
            said = [pool.submit(run, client, input=script(share)) for share in shares[1:]]
            self.write(shares[0])
        for share, writer in zip(shares[1:], said):
            writer.result()
            self.record(share)
        running = {running["device"] for running in self.vm.command("query-block-jobs")}
        assert not job or job in running, "the job ended before the writers"

    def finish_backup(self, target: Path, then: Path) -> Path:
        """The target, which must have what was on the disk then."""
        self.vm.command("block-job-set-speed", device="backup", speed=0)
        self.vm.finish_job("backup")
        self.vm.command("blockdev-del", node_name=target.stem)
        assert self.compare(then, target) == IDENTICAL
        self.as_modelled()
        return target

    def backups_and_mirrors(self) -> None:
        disk = self.create("disk")
        self.keep_content()
        with self.start(disk) as vm:
            vm.serve()
            vm.export("disk", "live", writable=True)
            self.write(Guest(self.seed + 1).writes(150, ALL))
            first = self.incremental_backup(self.full_backup())
            self.failing_backup(first, 4, stays=True)
            self.failing_backup(first, 5, stays=False)
            self.cancelled_backup(first)
            del self.models["inc"]
            self.mirror(7, "mirror", granularity=64 * K, copy_mode="write-blocking")
            self.mirror(8, "pivot", granularity=16 * K, copy_mode="background")
            before_pivot = self.moment()
            # The guest is on the mirror now, the old disk's bitmaps stay as they are.
            for bitmap in self.models.values():
                bitmap.recording = False
            self.load(9, 10)
            self.as_modelled()
        assert self.compare(before_pivot, disk) == IDENTICAL
        assert self.compare(self.moment(), self.folder / "pivot.qcow2") == IDENTICAL
        for name in ("first", "second", "pivot"):
            self.img("check", self.folder / f"{name}.qcow2")

    def full_backup(self) -> Path:
        then, full = self.moment(), self.target("full")
        inc = on("add", "inc", granularity=64 * K, persistent=True)
        sizes = {"fine": 4 * K, "coarse": 1024 * K}
        others = [on("add", name, granularity=size) for name, size in sizes.items()]
        self.do(inc, *others, backup("full", "top", speed=SLOW))
        self.load(2, 50, "backup")
        return self.finish_backup(full, then)

    def incremental_backup(self, full: Path) -> Path:
        then, first = self.moment(), self.target("first", full)
        self.do(backup("first", bitmap="inc", bitmap_mode="on-success", speed=SLOW))
        self.facts.append([self.bitmaps()[name] for name in self.models])
        again = backup("first", "incremental", "second", bitmap="inc")
        self.refused(*each("clear disable remove", "inc"), again)
        self.models["inc"].clear()
        self.load(3, 50, "backup")
        return self.finish_backup(first, then)

    def failing_backup(self, backing: Path, seed: int, stays: bool) -> None:
        """The bitmap has what it had, and what was written while the job was there."""
        fault = [{"event": "write_aio", "errno": 5}]
        self.target("bad", backing, driver="blkdebug", inject_error=fault)
        mode, on_error = ("on-success", "stop") if stays else ("never", "report")
        how: dict[str, Any] = {"bitmap_mode": mode, "speed": SLOW, "on_target_error": on_error}
        self.do(backup("bad", bitmap="inc", **how))
        if stays:
            self.vm.event("BLOCK_JOB_ERROR", device="backup")
            # A write to what the job has yet to copy would fail: the target takes nothing.
            self.load(seed, 30, "backup", spared=self.models["inc"])
            self.vm.command("block-job-cancel", device="backup", force=True)
        event = "BLOCK_JOB_CANCELLED" if stays else "BLOCK_JOB_COMPLETED"
        error = self.vm.event(event, device="backup")["data"].get("error")
        assert error == (None if stays else "Input/output error")
        self.vm.command("blockdev-del", node_name="bad")
        self.as_modelled()

    def cancelled_backup(self, backing: Path) -> None:
        """Mode always: what was copied is clean, what was not is dirty; the next job ends it."""
        inc, second = self.models["inc"], self.target("second", backing)
        job = backup("second", bitmap="inc", bitmap_mode="always", speed=SLOW)
        self.do(job)
        news = self.models["news"] = Bitmap(SIZE, inc.granularity)
        left = Bitmap(SIZE, inc.granularity)
        self.load(6, 20, "backup")
        del self.models["news"]
        wanted = self.vm.command("query-block-jobs")[0]["offset"] + 4 * MIB
        self.vm.command("block-job-set-speed", device="backup", speed=4 * SLOW)
        jobs = partial(self.vm.command, "query-block-jobs")
        wait_until("the job copies a part", lambda: jobs()[0]["offset"] >= wanted)
        self.vm.command("block-job-cancel", device="backup", force=True)
        self.vm.event("BLOCK_JOB_CANCELLED", device="backup")
        for start, length in self.read_over_nbd("inc"):
            left.add(start, start + length)
        assert news.within(left), "not all that was written meanwhile is dirty"
        assert left.within(inc), "something is dirty that was not written"
        assert news.count < left.count < inc.count, "it had copied nothing, or all"
        self.do(job)
        inc.clear()
        self.finish_backup(second, self.moment())

    def mirror(self, seed: int, name: str, **how: Any) -> None:
        file = self.folder / f"{name}.qcow2"
        how |= {"device": "disk", "job_id": "mirror", "target": str(file), "format": "qcow2"}
        self.refused(("drive-mirror", how | {"sync": "incremental"}))
        how |= {"sync": "full", "mode": "absolute-paths", "node_name": name, "speed": SLOW}
        self.do(("drive-mirror", how))
        self.load(seed, 40, "mirror")
        self.vm.command("block-job-set-speed", device="mirror", speed=0)
        self.vm.event("BLOCK_JOB_READY", device="mirror")
        self.load(seed + 20, 20, "mirror")
        end = "complete" if name == "pivot" else "cancel"
        self.vm.command(f"block-job-{end}", device="mirror")
        self.vm.finish_job("mirror")
        if name == "mirror":
            assert self.compare(self.moment(), file) == IDENTICAL
        self.as_modelled()

    def migrate(self, source: Machine, target: Machine, postcopy: bool, *then: Write) -> None:
        uri = f"unix:{target.folder}/migration"
        target.command("migrate-incoming", uri=uri)
        source.command("migrate", uri=uri)
        if postcopy:
            source.command("migrate-start-postcopy")
        # In postcopy the guest runs at the other end before the bitmaps are all there: what it
        # writes is in them in the end.
        target.event("RESUME")
        self.vm = target
        self.write(then)
        for vm in source, target:
            vm.event("MIGRATION", status="completed")
        self.as_modelled()
        source.quit()

    def ready_to_migrate(self, vm: Machine) -> None:
        wanted = [{"capability": c, "state": True} for c in ("events", "dirty-bitmaps")]
        vm.command("migrate-set-capabilities", capabilities=wanted)
        bitmaps = [{"name": n, "alias": f"alias-{n}"} for n in self.models]
        mapping = [{"node-name": "disk", "alias": "the-disk", "bitmaps": bitmaps}]
        how: dict[str, Any] = {"block_bitmap_mapping": mapping, "downtime_limit": 60000}
        # Bitmaps go over when the guest stands still; QEMU does not begin that if it may take too
        # long, takes each granule for a byte, and measures far too little of the idle channel.
        how["max_bandwidth"] = 1 << 33
        if self.build.version != "7.2":
            how["avail_switchover_bandwidth"] = 1 << 40
        vm.command("migrate-set-parameters", **how)

    def migration(self) -> None:
        guest, disk, waiting = Guest(self.seed + 30), self.create("migration"), "-incoming defer"
        two, three = (self.start(disk, *waiting.split()) for _ in range(2))
        with three as third, two as second, self.start(disk) as first:
            self.add_twenty()
            self.write(guest.writes(100, ALL, "zero discard"))
            # The finest one is not in the mapping: it stays behind.
            del self.models[FINEST]
            for vm in (first, second, third):
                self.ready_to_migrate(vm)
            before = {name: b for name, b in self.listed().items() if name != FINEST}
            self.as_modelled()

            # QEMU 7.2 can't be told how fast the channel is: it goes by postcopy twice.
            self.migrate(first, second, postcopy=self.build.version == "7.2")
            assert self.listed() == before
            self.write(guest.writes(60, ALL))
            self.migrate(second, third, True, *guest.writes(60, ALL))
            assert flags(self.listed()) == flags(before)
        self.keep_stored()
        with self.start(disk):
            self.as_modelled()

    def killed(self) -> None:
        disk, quiet = self.create("killed"), self.folder / "quiet.qcow2"
        guest = Guest(self.seed + 40)
        self.keep_content()
        with self.start(disk):
            # kill: used by the job; beside: enabled; off: disabled.
            for name, granularity in ("kill", 64 * K), ("beside", 4 * K), ("off", 128 * K):
                self.do(on("add", name, granularity=granularity, persistent=True))
            self.write(guest.writes(80, ALL))
            self.do(on("disable", "off"))
        run(["cp", "--sparse=always", disk, quiet])
        self.kill_in_backup(disk, quiet)
        # Clusters that nobody uses are left, and freed here.
        self.img("check", "-q", "-r", "leaks", disk)
        models, self.models = self.models, {}
        with self.start(disk):
            self.repair(models, guest)
        assert self.compare(self.content, disk) == IDENTICAL
        with self.start(disk):
            self.as_modelled()
            self.listed()
            self.do(on("remove", "beside"), on("remove", "off"))
            assert sorted(self.bitmaps()) == ["fresh", "kill"], "inconsistent ones can be removed"
        # The read-only disk's bitmaps were open too when QEMU was killed; they were not in use.
        with self.start(quiet):
            self.as_modelled(models)

    def kill_in_backup(self, disk: Path, quiet: Path) -> None:
        node = f"driver=qcow2,node-name=quiet,read-only=on,file.driver=file,file.filename={quiet}"
        reader = ("-blockdev", node, "-device", "virtio-blk-pci,id=vdb,drive=quiet")
        with self.start(disk, *reader) as vm:
            self.as_modelled()
            self.refused(on("clear", "off", node="quiet"), merge("off", "kill", node="quiet"))
            vm.serve()
            vm.export("disk", "live", writable=True)
            for bitmap in self.models.values():
                bitmap.recording = False  # from here on they are of the other disk
            vm.command("block-dirty-bitmap-add", node="disk", name="young", persistent=True)
            self.target("half")
            self.do(backup("half", "incremental", bitmap="kill", speed=SLOW))
            self.load(41, 20, "backup")
            self.facts.append(flags(self.bitmaps()))
            # What was not flushed may be lost, in any QEMU.
            vm.guest_io(GUEST_DISK, "flush")
            vm.kill()

    def repair(self, models: Models, guest: Guest) -> None:
        """After the kill no bitmap can be used: new ones beside them, and in the place of one."""
        found = {name: bitmap.get("inconsistent") for name, bitmap in self.listed().items()}
        assert found == dict.fromkeys(models, True)
        self.target("later")
        for name in models:
            job = backup("later", "incremental", bitmap=name)
            export = {"type": "nbd", "id": "e", "node_name": "disk", "name": "e", "bitmaps": [name]}
            self.refused(*each("clear enable disable", name), job, ("block-export-add", export))
        self.do(on("add", "fresh", granularity=4 * K, persistent=True))
        self.refused(merge("fresh", "kill"), merge("kill", "fresh"))
        self.write(guest.writes(30, ALL))
        self.do(on("remove", "kill"))
        self.do(on("add", "kill", granularity=64 * K, persistent=True))
        self.write(guest.writes(30, ALL))
        self.as_modelled()


PARTS = [Job.bitmaps_and_nbd, Job.backups_and_mirrors, Job.migration, Job.killed]


@pytest.mark.parametrize("part", PARTS, ids=["bitmaps", "backups", "migration", "killed"])
def test_part(
    part: Callable[[Job], None], stock: Build, dropin: Build, pytestconfig: pytest.Config
) -> None:
    debian.need(["libnbd-bin"], "reading bitmaps with nbdinfo")
    programs = [build.program("qemu-system-x86_64") for build in (stock, dropin)]
    assert [symbols.has_library(program) for program in programs] == [False, True]
    seed = pytestconfig.getoption("seed") * 1000
    # On a disk: in memory there may be no room.
    with paths.scratch() as folder:
        ours, theirs = (Job(build, folder / build.label, SIZE, seed) for build in (dropin, stock))
        for job in ours, theirs:
            part(job)
        assert ours.facts and ours.facts == theirs.facts
