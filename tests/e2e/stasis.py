"""Victims and the program under test, as the tests see them."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import procstate
import sandbox

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("STASIS_BUILD", SOURCE / "build-test"))
STASIS = Path(os.environ.get("STASIS", BUILD / "stasis"))
TOOLS = BUILD / "tests/tools"

# A whole `make test` on two busy cores must not fail for want of time.
PATIENCE = 30 * float(os.environ.get("STASIS_TEST_PATIENCE", "1"))
POLL = 0.002


def victim_names():
    """The programs of tests/victims/meson.build that follow the whole contract."""
    try:
        return (BUILD / "tests/victims/victims.list").read_text().split()
    except OSError:
        return []


class Failure(AssertionError):
    """What went wrong, with the log of stasis and the output of the victim."""


class Victim:
    """A running program that follows the contract of tests/victims/victim.h."""

    def __init__(self, directory, argv, environment=None, session=True):
        self.session = session
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o777)
        self.verifications = 0
        self.pid = self._start(argv, environment)

    def _start(self, argv, environment):
        """As daemons are: own session (unless told otherwise), no terminal, stdio on files."""
        output = os.open(self.directory / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        null = os.open("/dev/null", os.O_RDONLY)
        env = dict(os.environ if environment is None else environment)
        pid = os.posix_spawn(
            argv[0], argv, env, setsid=self.session,
            file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, output, 1),
                          (os.POSIX_SPAWN_DUP2, output, 2)],
            setsigmask=[], setsigdef=range(1, signal.SIGRTMAX + 1))
        os.close(output)
        os.close(null)
        return pid

    @classmethod
    def of(cls, directory, name, *arguments, session=True):
        """A victim of tests/victims, ready. Skips the test where the victim says it cannot run."""
        directory = Path(directory)
        program = str(BUILD / f"tests/victims/victim-{name}")
        victim = cls(directory, [program, str(directory), *arguments], session=session)
        victim.await_ready()
        return victim

    def output(self):
        return (self.directory / "output").read_text(errors="replace")

    def _read(self, name):
        try:
            return (self.directory / name).read_text()
        except FileNotFoundError:
            return None

    def await_file(self, name, timeout=None, alive=True):
        deadline = time.monotonic() + (timeout or PATIENCE)
        while True:
            text = self._read(name)
            if text is not None:
                return text
            gone = alive and not is_alive(self.pid)
            early = self._read("result-0")
            if early:
                self._give_up(early)
            if gone:
                raise Failure(f"the victim is gone while {name} is awaited\n{self.output()}")
            if time.monotonic() > deadline:
                raise Failure(f"{name} does not appear\n{tree_text(self.pid)}\n{self.output()}")
            time.sleep(POLL)

    def _give_up(self, text):
        import pytest

        if text.startswith("skip: "):
            pytest.skip(text[6:].strip())
        raise Failure(f"setting up: {text}")

    def await_ready(self):
        self.await_file("ready")

    def verify(self):
        """Asks the victim to look at itself. Returns "pass" or "fail: ..."."""
        self.verifications += 1
        (self.directory / f"verify-{self.verifications}").touch()
        return self.await_file(f"result-{self.verifications}").strip()

    def assert_intact(self, when):
        answer = self.verify()
        if answer != "pass":
            raise Failure(f"{when}: {answer}")

    def stop(self):
        """Asks the tree to leave; kills what is left of it."""
        tasks = [self.pid, *sandbox.descendants(self.pid)]
        (self.directory / "stop").touch()
        deadline = time.monotonic() + 5
        while is_alive(self.pid) and time.monotonic() < deadline:
            time.sleep(POLL)
        kill_tasks(tasks)

    def kill(self):
        tasks = [self.pid, *sandbox.descendants(self.pid)]
        kill_tasks(tasks)

    def tasks(self):
        return [self.pid, *sandbox.descendants(self.pid)]


def state_of(pid):
    """The letter of /proc/PID/stat, or None if there is no such task."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2]


def is_alive(pid):
    return state_of(pid) not in (None, "Z", "X")


def await_gone(pids, timeout=None):
    """Until the numbers can be used again; we are the ones who reap."""
    deadline = time.monotonic() + (timeout or PATIENCE)
    left = list(pids)
    while left:
        sandbox.reap()
        left = [pid for pid in left if state_of(pid) is not None]
        if left and time.monotonic() > deadline:
            raise Failure("still there: " + ", ".join(f"{p} ({state_of(p)})" for p in left))
        if left:
            time.sleep(0.001)


def kill_tasks(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    await_gone(pids)


def tree_text(pid):
    lines = []
    for task in [pid, *sandbox.descendants(pid)]:
        try:
            wchan = Path(f"/proc/{task}/syscall").read_text().strip()
        except OSError as e:
            wchan = e.strerror
        lines.append(f"  {task} {state_of(task)} in {wchan}")
    return "\n".join(lines)


class Result:
    """How a run of stasis ended."""

    def __init__(self, argv, status, out, err, log, seconds):
        self.argv, self.status, self.out, self.err = argv, status, out, err
        self.log, self.seconds = log, seconds

    def __str__(self):
        return (f"{' '.join(map(str, self.argv))}\nstatus {self.status} after {self.seconds:.2f} s\n"
                f"-- standard output\n{self.out}\n-- standard error\n{self.err}\n"
                f"-- log\n{self.log[-6000:]}")

    @property
    def json(self):
        return json.loads(self.out)

    def expect_success(self):
        if self.status != 0:
            raise Failure(str(self))
        return self

    def expect_failure(self):
        """One clear error, and no crash."""
        if self.status <= 0 or self.status >= 124:
            raise Failure(f"expected an error, not this:\n{self}")
        if not self.err.strip():
            raise Failure(f"failed without a word:\n{self}")
        if "Sanitizer" in self.err:
            raise Failure(str(self))
        return self


class Stasis:
    """Runs the program; one directory of images each."""

    def __init__(self, directory):
        self.images = Path(directory)
        self.images.mkdir(parents=True, exist_ok=True)
        self.environment = dict(os.environ)

    def run(self, *arguments, wrapper=(), timeout=None, env=None):
        argv = [*map(str, wrapper), str(STASIS), *map(str, arguments)]
        begin = time.monotonic()
        log = self.images / f"{arguments[0]}.log"
        if log.exists():
            log.unlink()
        # Files, not pipes: a restored tree never gets them, but a defect must not make us wait.
        out, err = self.images / "stdout", self.images / "stderr"
        with open(out, "wb") as o, open(err, "wb") as e:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=o, stderr=e,
                                       env={**self.environment, **(env or {})}, cwd="/")
            try:
                status = process.wait(timeout or PATIENCE)
            except subprocess.TimeoutExpired:
                where = tree_text(process.pid)
                process.kill()
                process.wait()
                raise Failure(f"{' '.join(argv)} hangs:\n{where}\n{err.read_text()}"
                              f"{log.read_text() if log.exists() else ''}")
        return Result(argv, status, out.read_text(errors="replace"),
                      err.read_text(errors="replace"),
                      log.read_text(errors="replace") if log.exists() else "",
                      time.monotonic() - begin)

    def dump_arguments(self, pid, *options):
        return ["dump", "-t", pid, "-D", self.images, "-o", "dump.log", "-v4", *options]

    def restore_arguments(self, *options):
        self.pidfile = self.images / "pidfile"
        if self.pidfile.exists():
            self.pidfile.unlink()
        return ["restore", "-D", self.images, "-d", "-o", "restore.log", "-v4",
                "--pidfile", self.pidfile, *options]

    def dump(self, pid, *options, **kwargs):
        return self.run(*self.dump_arguments(pid, *options), **kwargs)

    def restore(self, *options, **kwargs):
        return self.run(*self.restore_arguments(*options), **kwargs)

    def inspect(self, pid, *options):
        return self.run("inspect", pid, *options)

    def clear(self):
        shutil.rmtree(self.images)
        self.images.mkdir()


def checkpoint(victim, stasis, *options):
    """Dumps and ends the victim. Returns what /proc said of the tree before."""
    tasks = victim.tasks()
    before = procstate.snapshot(victim.pid)
    result = stasis.dump(victim.pid, *options).expect_success()
    await_gone(tasks)
    return before, result


def bring_back(victim, stasis, before, *options):
    """Restores and compares with what /proc said before (None: a program that opens and maps things all
    the time, of which two looks differ)."""
    result = stasis.restore(*options).expect_success()
    pid = int(stasis.pidfile.read_text())
    assert pid == victim.pid, f"restored as {pid}, was {victim.pid}"
    if not is_alive(pid):
        raise Failure(f"restored, and gone\n{result}\n{victim.output()}")
    difference = procstate.await_same(pid, before) if before else []
    if difference:
        raise Failure("/proc differs after the restore:\n" + "\n".join(difference))
    return result
