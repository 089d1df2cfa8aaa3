#!/usr/bin/python3
"""make bench: how long dump and restore take, beside CRIU where there is one. A report: nothing fails.

For each victim, BENCH_RUNS times: start it, dump it (and end it), restore it, end it. With CRIU=PROGRAM
both tools take turns, so that both see the same mood of the machine. Environment:

    BENCH_RUNS=10            runs of each row (2 GB: half of them)
    BENCH_ONLY=trivial,2gb   these rows alone
    BENCH_DIR=/dev/shm       where the images go; ext4 for example ends in the page cache
    BENCH_JSON=FILE          every single figure, for other programs
    BENCH_KEEP=1             the directories stay
    BENCH_CGROUP=DIR         run in that cgroup; one with a great weight makes a busy machine look quiet
    STASIS=PROGRAM           default: stasis in the build directory
    CRIU=PROGRAM             the other one; takes the same command line

What is measured: the wall time from just before posix_spawn of the command until waitpid has its status,
so with exec, loading and exit (the row `true` says what that costs an empty program); the time frozen as
the tool itself tells it: stasis --json, CRIU's stats-dump. docs/performance.md discusses the figures.

Free memory of a virtual machine is given back to its host, and the next touch is slow. So as much memory
as a run needs is touched and freed right before each run.
"""

import ctypes
import json
import mmap
import os
import shutil
import signal
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

MB = 1 << 20
MADV_POPULATE_WRITE = 23
PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 60  # seconds until something that does not come is given up

# name, program, argument, MB that a dump or a restore needs, share of the runs, tasks, threads
ROWS = [
    ("trivial", "trivial", None, 16, 1, 1, 1),
    ("1000 areas", "areas", 1000, 32, 1, 1, 1),
    ("10000 areas", "areas", 10000, 96, 1, 1, 1),
    ("500 threads", "threads", 500, 48, 1, 1, 500),
    ("200 processes", "processes", 200, 96, 1, 200, 200),
    ("256 MB", "memory", 256, 256 + 64, 1, 1, 1),
    ("2 GB", "memory", 2048, 2048 + 128, 0.5, 1, 1),
]


class Failed(Exception):
    """A run that came to nothing; the row says so and the report goes on."""


def warm(megabytes):
    """Touches and frees that much memory: the kernel has it at hand then."""
    memory = mmap.mmap(-1, megabytes * MB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(MADV_POPULATE_WRITE)
    memory.close()


def timed(argv, output, environment=None):
    """Runs a command and returns its wall and CPU time in ms and its exit status."""
    environment = environment or os.environ
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
               (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
               (os.POSIX_SPAWN_OPEN, 2, f"{output}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - begin
    cpu = usage.ru_utime + usage.ru_stime
    return wall * 1000, cpu * 1000, os.waitstatus_to_exitcode(status)


def reap():
    """Ends what is dead below us; the kernel keeps its pid until then."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def tree_of(pid):
    """The pids of a tree."""
    pids = [pid]
    for task in pids:
        try:
            for thread in os.listdir(f"/proc/{task}/task"):
                children = Path(f"/proc/{task}/task/{thread}/children").read_text()
                pids += [int(child) for child in children.split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return pids


def await_gone(pids):
    deadline = time.monotonic() + PATIENCE
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        reap()
        if time.monotonic() > deadline:
            raise Failed("processes that do not end")
        time.sleep(0.001)


def end(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    await_gone(pids)


def frozen_by_criu(directory):
    """DumpStatsEntry.frozen_time of stats-dump: field 2 of message 1 of the only entry, in us."""
    def fields(data):
        at = 0

        def varint():
            nonlocal at
            value, shift = 0, 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(data):
            key = varint()
            if key & 7 == 0:
                yield key >> 3, varint()
            elif key & 7 == 2:
                length = varint()
                at += length
                yield key >> 3, data[at - length:at]
            else:
                raise Failed("stats-dump is not understood")

    data = (directory / "stats-dump").read_bytes()
    size = struct.unpack_from("<I", data, 8)[0]
    return dict(fields(dict(fields(data[12:12 + size]))[1]))[2] / 1000


class Tool:
    def __init__(self, name, program):
        self.name, self.program = name, program

    def run(self, arguments, directory):
        output = directory.parent / "output"
        json_option = ["--json"] if self.name == "stasis" else []
        wall, cpu, code = timed([self.program, *arguments, "-D", str(directory), *json_option], output)
        if code != 0:
            errors = Path(f"{output}.err").read_text(errors="replace").strip().splitlines()
            raise Failed(f"{arguments[0]} exits with {code}: {' '.join(errors[-3:])}")
        return wall, cpu, output

    def dump(self, pid, directory):
        """A dict of figures in ms."""
        wall, cpu, output = self.run(["dump", "-t", str(pid)], directory)
        if self.name == "stasis":
            frozen = json.loads(output.read_text())["stats"]["frozen_us"] / 1000
        else:
            frozen = frozen_by_criu(directory)
        return {"dump_ms": wall, "dump_cpu_ms": cpu, "frozen_ms": frozen}

    def restore(self, directory):
        wall, cpu, _ = self.run(["restore", "-d"], directory)
        return {"restore_ms": wall, "restore_cpu_ms": cpu}


class Row:
    def __init__(self, name, program, argument, megabytes, share, tasks, threads):
        self.name, self.megabytes, self.share = name, megabytes, share
        self.argv = [program] + ([str(argument)] if argument else [])
        self.tasks, self.threads = tasks, threads

    def start(self, build):
        """A victim as a daemon is: its own session, no terminal, stdio on /dev/null."""
        argv = [str(build / "bench" / f"bench-{self.argv[0]}"), *self.argv[1:]]
        theirs, ours = os.pipe()
        # Above 3, so that dup2 always makes a descriptor that stays open over exec.
        high = [os.dup(theirs), os.dup(ours)]
        actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
        pid = os.posix_spawn(argv[0], argv, {}, setsid=True,
                             file_actions=actions + [(os.POSIX_SPAWN_DUP2, high[1], 3)])
        for fd in ours, high[0], high[1]:
            os.close(fd)
        os.read(theirs, 1)
        os.close(theirs)
        return pid

    def check(self, pids):
        """That what came back is what went: nobody is faster by leaving things out."""
        threads = 0
        for pid in pids:
            try:
                threads += len(os.listdir(f"/proc/{pid}/task"))
            except FileNotFoundError:
                pass
        if (len(pids), threads) != (self.tasks, self.threads):
            raise Failed(f"{len(pids)} tasks and {threads} threads came back")

    def measure(self, tool, build, directory):
        """One run: a dict of figures."""
        directory.mkdir(parents=True)
        pid = self.start(build)
        pids = tree_of(pid)
        try:
            self.check(pids)
            warm(self.megabytes)
            figures = tool.dump(pid, directory)
            await_gone(pids)
            warm(self.megabytes)
            figures |= tool.restore(directory)
            pids = tree_of(pid)
            self.check(pids)
        finally:
            end(pids)
        size = sum(file.stat().st_size for file in directory.glob("pages-*.img"))
        return figures | {"page_bytes": size}


def cost_of_nothing(place, runs):
    times = [timed(["/bin/true"], place / "output")[0] for _ in range(max(runs, 20))]
    return statistics.median(times), min(times)


WALL = ["dump_ms", "frozen_ms", "restore_ms"]
CPU = ["dump_cpu_ms", "restore_cpu_ms"]
HEADER = (f"{'':24}{'dump ms':>18} {'frozen ms':>18} {'restore ms':>18} {'CPU ms, min':>17} "
          f"{'pages':>8} {'GB/s of pages':>14}\n"
          f"{'victim':14}{'tool':10}" + f"{'median':>9} {'min':>8} " * 3 +
          f"{'dump':>8} {'restore':>8} {'MB':>8} {'dump':>6} {'restore':>7}")


def print_row(row, tool, runs):
    def rate(what):
        return statistics.median(run["page_bytes"] / run[what] / 1e6 for run in runs)

    cells = [f"{row.name:14}{tool.name:9}"]
    for key in WALL:
        values = [run[key] for run in runs]
        cells.append(f"{statistics.median(values):9.1f} {min(values):8.1f}")
    cells += [f"{min(run[key] for run in runs):8.1f}" for key in CPU]
    cells.append(f"{runs[-1]['page_bytes'] / 1e6:8.1f} {rate('dump_ms'):6.2f} {rate('restore_ms'):7.2f}")
    print(" ".join(cells), flush=True)


def print_ratio(row, ours, theirs):
    def ratio(key, of):
        return f"{of(run[key] for run in theirs) / of(run[key] for run in ours):.1f}x"

    cells = [f"{row.name:14}{'ratio':9}"]
    cells += [f"{ratio(key, statistics.median):>9} {ratio(key, min):>8}" for key in WALL]
    cells += [f"{ratio(key, min):>8}" for key in CPU]
    print(" ".join(cells), flush=True)


def measure_row(row, tools, build, place, count):
    runs = {tool.name: [] for tool in tools}
    for number in range(max(1, round(count * row.share))):
        # Who goes first alternates as well.
        for tool in tools if number % 2 == 0 else reversed(tools):
            directory = place / f"{row.argv[0]}-{number}-{tool.name}" / "images"
            try:
                runs[tool.name].append(row.measure(tool, build, directory))
            except Failed as failure:
                print(f"{row.name:14}{tool.name:10}run {number}: {failure}", flush=True)
            finally:
                if not os.environ.get("BENCH_KEEP"):
                    shutil.rmtree(directory.parent)
    return runs


def report(rows, tools, build, place, count):
    results = {}
    for row in rows:
        runs = results[row.name] = measure_row(row, tools, build, place, count)
        for tool in tools:
            if runs[tool.name]:
                print_row(row, tool, runs[tool.name])
        if len(tools) == 2 and all(runs.values()):
            print_ratio(row, runs["stasis"], runs["criu"])
    return results


def chosen(names):
    rows = [Row(*row) for row in ROWS]
    if not names:
        return rows
    wanted = [name.replace(" ", "").lower() for name in names.split(",")]
    return [row for row in rows if row.name.replace(" ", "").lower() in wanted]


def main():
    build = Path(sys.argv[1] if len(sys.argv) > 1 else "build").resolve()
    count = int(os.environ.get("BENCH_RUNS", "10"))
    tools = [Tool("stasis", os.environ.get("STASIS", str(build / "stasis")))]
    if os.environ.get("CRIU"):
        tools.append(Tool("criu", os.environ["CRIU"]))
    if os.geteuid() != 0:
        sys.exit("bench: needs root, as dump and restore do")
    if os.environ.get("BENCH_CGROUP"):
        Path(os.environ["BENCH_CGROUP"], "cgroup.procs").write_text("0")
    # What a dump or a restore leaves without a parent becomes our child, and is reaped at once.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    place = Path(tempfile.mkdtemp(prefix="stasis-bench-", dir=os.environ.get("BENCH_DIR", "/dev/shm")))
    try:
        print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the beginning, Linux "
              f"{os.uname().release}, images in {place.parent}, {count} runs")
        print("true: %.1f ms median, %.1f min: in every wall time below\n" % cost_of_nothing(place, count))
        print(HEADER, flush=True)
        results = report(chosen(os.environ.get("BENCH_ONLY")), tools, build, place, count)
        print(f"\nload at the end: {os.getloadavg()[0]:.1f}")
    finally:
        if not os.environ.get("BENCH_KEEP"):
            shutil.rmtree(place)
    if os.environ.get("BENCH_JSON"):
        Path(os.environ["BENCH_JSON"]).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
