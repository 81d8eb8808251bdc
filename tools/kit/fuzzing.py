# SPDX-License-Identifier: GPL-2.0-or-later
"""The fuzz targets: how they are built, and what libFuzzer says of a run."""
import os
import re
import subprocess
from pathlib import Path

from . import debian, places, say, source

FOLDER = places.ROOT / "fuzz"
TARGETS = ["hbitmap_ops", "dirty_bitmap_ops", "deserialize", "load_file", "differential"]
# The flags of `cargo fuzz`, so that both build the same.
FLAGS = [
    "-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=4", "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table", "-Cllvm-args=-sanitizer-coverage-trace-compares", "-Zsanitizer=address",
    "-Ccodegen-units=1", "-Cforce-frame-pointers=yes", "--cfg", "fuzzing",
]
# A bitmap of 2^41 bits has tables that take some memory under AddressSanitizer.
# An input takes seconds at most; but where other work takes the processors, one was reported that took two minutes of the clock.
LIMITS = ["-rss_limit_mb=6000", "-timeout=600"]


def target_folder() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR") or FOLDER / "target").resolve()


def work_folder() -> Path:
    return Path(os.environ.get("FUZZ_WORK") or target_folder() / "fuzz-work").resolve()


def corpus(target: str) -> Path:
    return FOLDER / "corpus" / target


def toolchain() -> dict:
    """What `rustc -vV` says."""
    return dict(line.split(": ", 1) for line in say.run(["rustc", "-vV"]).stdout.splitlines() if ": " in line)


def build(targets, flags, folder: Path):
    """The programs of targets, compiled with `flags` into `folder`."""
    debian.need(["g++"], "libFuzzer")
    host = toolchain()["host"]
    # Opens -Zsanitizer on stable Rust.
    env = dict(os.environ, RUSTC_BOOTSTRAP="1", RUSTFLAGS=" ".join(flags), CARGO_TARGET_DIR=str(folder))
    bins = [word for target in targets for word in ("--bin", target)]
    command = ["cargo", "build", "--locked", "--quiet", "--release", "--manifest-path", FOLDER / "Cargo.toml", "--target", host, *bins]
    say.step(f"compiling {', '.join(targets)}")
    say.run(command, env=env)
    return {target: folder / host / "release" / target for target in targets}


def oracle(targets) -> dict:
    """The environment of a run: QEMU's C for the target that compares with it."""
    env = dict(os.environ)
    if "differential" in targets and not env.get("QDB_ORACLE"):
        folder = target_folder() / "oracle"
        say.run([places.ROOT / "oracle" / "build", source.get(places.DEFAULT), folder])
        env["QDB_ORACLE"] = str(folder / "libqemu-dirty-bitmap-oracle.so")
    return env


class Run:
    """One target at work for some time, in the background."""

    def __init__(self, target: str, program: Path, seconds: int, env, options=()):
        self.target, self.log = target, work_folder() / "logs" / f"{target}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                command(target, program, seconds, options), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=env)

    def end(self) -> str:
        """Waits. What the run did, in a line; a Failure if it found something."""
        code = self.process.wait()
        text = self.log.read_text(errors="replace")
        executions = re.search(r"^stat::number_of_executed_units:\s*(\d+)", text, re.M)
        if code != 0 or not executions:
            raise say.Failure(f"ended with {code}; what it found is in {work_folder() / 'crashes' / self.target}, "
                              f"all that it said in {self.log}, its end:\n{text[-6000:]}")
        edges, features = re.findall(r"\bcov: (\d+) ft: (\d+)", text)[-1]
        return f"{int(executions[1]):,} executions, {int(edges):,} edges, {int(features):,} features"


def command(target: str, program: Path, seconds: int, options=()):
    """New inputs go to FUZZ_WORK/found, crashes to FUZZ_WORK/crashes."""
    found, crashes = work_folder() / "found" / target, work_folder() / "crashes" / target
    for folder in (found, crashes, corpus(target)):
        folder.mkdir(parents=True, exist_ok=True)
    return [program, f"-max_total_time={seconds}", "-max_len=2048", "-len_control=20", *LIMITS, "-print_final_stats=1",
            f"-artifact_prefix={crashes}/", *options, found, corpus(target)]


def minimise(target: str, program: Path, env) -> str:
    """Rewrites a corpus: what its coverage, and that of what was found, needs, and inputs with a name that begins with `seed-`."""
    kept, found, smaller = corpus(target), work_folder() / "found" / target, work_folder() / "smaller" / target
    for folder in (kept, found, smaller):
        folder.mkdir(parents=True, exist_ok=True)
    for old in smaller.iterdir():
        old.unlink()
    # Edges alone: inputs that differ in how often they pass one are not worth a file.
    say.run([program, "-set_cover_merge=1", "-use_counters=0", *LIMITS, smaller, kept, found], env=env)
    new = sorted(smaller.iterdir())
    if not new:
        raise say.Failure(f"{target}: nothing is left of the corpus")
    for old in kept.iterdir():
        # Such meet what no edge tells apart, for instance an entry of docs/differences.md.
        if not old.name.startswith("seed-"):
            old.unlink()
    for file in new:
        (kept / file.name).write_bytes(file.read_bytes())
    files = list(kept.iterdir())
    return f"{len(files)} files, {sum(file.stat().st_size for file in files):,} bytes"
