"""SIGKILL of the conductor, at every instrumented point and at random instants.

Of a dump: the victim is alive, intact, and can be dumped again. Of a restore: nothing is left, or all of it.
At least 300 kills in all. The random seed is printed where a test fails; STASIS_TEST_SEED repeats it.
"""

import os
import random
import signal
import subprocess
import time

import pytest

import sandbox
from stasis import STASIS, Failure, await_gone, is_alive, kill_tasks, state_of

SEED = int(os.environ.get("STASIS_TEST_SEED", random.SystemRandom().randrange(1 << 30)))

# name of the victim: random kills of a dump, of a restore.
VICTIMS = {
    "counter": (60, 40),
    "threads_500": (20, 15),
    "procs_200": (15, 15),
    "syscalls_blocked": (40, 20),
    "arithmetic": (25, 15),
    "pipeline": (25, 15),
    "stopped": (20, 15),
    "tree": (20, 15),
    # A leader under a filter that forbids munmap can be lost in the microseconds in which it takes our pages away,
    # after the commit (docs/architecture.md, "Windows that remain"): dumps only.
    "seccomp": (20, 0),
}

pytestmark = pytest.mark.timeout(600)


def run_and_kill(argv, delay):
    """Starts argv and kills it after delay seconds. True if it was still running."""
    process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    time.sleep(delay)
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def alive_or_fail(victim, what):
    try:
        victim.assert_intact(what)
    except Failure as e:
        raise Failure(f"seed {SEED}: {e}\n{victim_tasks_text(victim)}")


def victim_tasks_text(victim):
    from stasis import tree_text

    return tree_text(victim.pid)


def duration_of_dump(victim, stasis):
    return min(stasis.dump(victim.pid, "-R").expect_success().seconds for _ in range(3))


@pytest.mark.parametrize("name", VICTIMS)
def test_dump_killed_at_random(start, stasis, name):
    chance = random.Random(f"{SEED} dump {name}")
    victim = start(name)
    duration = duration_of_dump(victim, stasis)
    hits = 0
    for i in range(VICTIMS[name][0]):
        delay = chance.uniform(0, duration * 1.1)
        hits += run_and_kill([STASIS, *stasis.dump_arguments(victim.pid, "-R")], delay)
        alive_or_fail(victim, f"kill {i} after {delay * 1000:.2f} ms of {duration * 1000:.2f}")
        if i % 5 == 4:
            stasis.dump(victim.pid, "-R").expect_success()
            alive_or_fail(victim, f"dump after kill {i}")
    assert hits > 0


def test_dump_killed_and_repeated_at_once(start, stasis):
    """The next dump begins while the tasks of the killed one are still healing."""
    chance = random.Random(f"{SEED} again")
    victim = start("threads_500")
    duration = duration_of_dump(victim, stasis)
    for i in range(10):
        run_and_kill([STASIS, *stasis.dump_arguments(victim.pid, "-R")],
                     chance.uniform(0, duration))
        stasis.dump(victim.pid, "-R").expect_success()
        alive_or_fail(victim, f"round {i}")


def test_dump_killed_while_stopping_and_continuing(start, stasis):
    """Somebody else stops and continues the victim all the time."""
    chance = random.Random(f"{SEED} stop")
    victim = start("counter")
    duration = duration_of_dump(victim, stasis)
    nuisance = os.fork()
    if nuisance == 0:
        while True:
            for sig in (signal.SIGSTOP, signal.SIGCONT):
                os.kill(victim.pid, sig)
                time.sleep(chance.uniform(0, 0.002))
    try:
        for i in range(30):
            run_and_kill([STASIS, *stasis.dump_arguments(victim.pid, "-R")],
                         chance.uniform(0, duration * 1.2))
            alive_or_fail(victim, f"kill {i} under STOP and CONT")
    finally:
        os.kill(nuisance, signal.SIGKILL)
        os.waitpid(nuisance, 0)
    os.kill(victim.pid, signal.SIGCONT)
    alive_or_fail(victim, "in the end")
    stasis.dump(victim.pid, "-R").expect_success()


def points_of(stasis, arguments):
    """How many test points a run reaches. Needs a build with -Dtestpoints=true."""
    count = stasis.images.parent / "points"
    count.write_text("")
    stasis.run(*arguments, env={"STASIS_TEST_POINT_COUNT": str(count)}).expect_success()
    names = count.read_text().split()
    assert names, "this build of stasis has no test points (-Dtestpoints=true)"
    return names


MOST_POINTS = 120


def chosen(names):
    """(number, name) of the points to stop at: all of them in a small tree; in a large one, where most are
    repetitions, the first and the last of each name and some between."""
    numbers = {n for n, name in enumerate(names, 1)
               if name not in names[:n - 1] or name not in names[n:]}
    step = max(1, len(names) // MOST_POINTS)
    numbers.update(range(1, len(names) + 1, step))
    return [(n, names[n - 1]) for n in sorted(numbers)]


@pytest.mark.parametrize("name", ["counter", "arithmetic", "syscalls_blocked", "tree", "pipeline"])
def test_dump_killed_at_every_point(start, stasis, name):
    victim = start(name)
    names = points_of(stasis, stasis.dump_arguments(victim.pid, "-R"))
    for n, point in chosen(names):
        stasis.dump(victim.pid, "-R", env={"STASIS_TEST_POINT": f"{n}:kill"})
        alive_or_fail(victim, f"killed at point {n}, {point}")
    stasis.dump(victim.pid, "-R").expect_success()
    alive_or_fail(victim, "dumped after all that")


@pytest.mark.parametrize("name", ["counter", "arithmetic", "tree"])
def test_dump_fails_at_every_point(start, stasis, name):
    """Failure instead of death: one error, victim untouched."""
    victim = start(name)
    names = points_of(stasis, stasis.dump_arguments(victim.pid, "-R"))
    for n, point in chosen(names):
        result = stasis.dump(victim.pid, "-R", env={"STASIS_TEST_POINT": f"{n}:fail"})
        if result.status != 0:
            result.expect_failure()
        alive_or_fail(victim, f"failed at point {n}, {point}")


class Images:
    """A dumped tree that is restored again and again."""

    def __init__(self, victim, stasis):
        self.victim, self.stasis = victim, stasis
        self.tasks = victim.tasks()
        self.living = [pid for pid in self.tasks if state_of(pid) != "Z"]
        stasis.dump(victim.pid).expect_success()
        await_gone(self.tasks)

    def left(self):
        """The living tasks of the tree that are there now (zombies that are ours are reaped first)."""
        sandbox.reap()
        return [pid for pid in self.living if state_of(pid) not in (None, "Z")]

    def _await(self, condition):
        """Dying takes the kernel a moment, after the conductor's end."""
        deadline = time.monotonic() + 5
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.005)
        return condition()

    def _is_settled(self):
        return len(self.left()) in (0, len(self.living))

    def _strangers(self):
        """Live processes that are no part of the tree, nor children that the tree has made since."""
        own = {*self.tasks, *self.victim.tasks()}
        return [pid for pid in sandbox.descendants(os.getpid()) if pid not in own and is_alive(pid)]

    def check_nothing_or_all(self, what):
        """After the conductor's end. True if all of the tree is there and intact, False if nothing is."""
        if not self._await(self._is_settled):
            states = "; ".join(f"{pid} {state_of(pid)}" for pid in self.living)
            raise Failure(f"seed {SEED}: {what}: {self.left()} are there of {self.living}: {states}\n"
                          f"{victim_tasks_text(self.victim)}")
        if not self._await(lambda: not self._strangers()):
            raise Failure(f"seed {SEED}: {what}: left behind: {self._strangers()}")
        if not self.left():
            return False
        try:
            alive_or_fail(self.victim, what)
            return True
        except Failure:
            if is_alive(self.victim.pid):
                raise
        # They were there, but about to die with their conductor: none has run, none has answered.
        if not self._await(lambda: not self.left()):
            raise Failure(f"seed {SEED}: {what}: the root is gone, {self.left()} are there")
        return False

    def forget_answers(self):
        """The state of the dump had answered nothing since."""
        for path in self.victim.directory.glob("verify-*"):
            if int(path.name.split("-")[1]) > self.victim.verifications:
                path.unlink()
        for path in self.victim.directory.glob("result-*"):
            if int(path.name.split("-")[1]) > self.victim.verifications:
                path.unlink()

    def clear(self, verified_before):
        kill_tasks([*self.left(), *sandbox.descendants(self.victim.pid)])
        await_gone(self.tasks)
        self.victim.verifications = verified_before
        self.forget_answers()


def restores(images, runs):
    """Runs each (description, function) and checks that nothing or all of the tree is there."""
    verified = images.victim.verifications
    whole = 0
    for what, run in runs:
        run()
        whole += images.check_nothing_or_all(what)
        images.clear(verified)
    return whole


@pytest.mark.parametrize("name", [name for name, (_, kills) in VICTIMS.items() if kills])
def test_restore_killed_at_random(start, stasis, name):
    chance = random.Random(f"{SEED} restore {name}")
    images = Images(start(name), stasis)
    verified = images.victim.verifications
    duration = stasis.restore().expect_success().seconds
    images.clear(verified)

    def kill_after(delay):
        return lambda: run_and_kill([STASIS, *stasis.restore_arguments()], delay)

    delays = [chance.uniform(0, duration * 1.1) for _ in range(VICTIMS[name][1])]
    restores(images, [(f"killed after {d * 1000:.2f} ms", kill_after(d)) for d in delays])
    stasis.restore().expect_success()
    alive_or_fail(images.victim, "restored in the end")


@pytest.mark.parametrize("name", ["counter", "arithmetic", "tree", "pipeline", "zombies"])
@pytest.mark.parametrize("how", ["kill", "fail"])
def test_restore_at_every_point(start, stasis, name, how):
    images = Images(start(name), stasis)
    verified = images.victim.verifications
    names = points_of(stasis, stasis.restore_arguments())
    images.clear(verified)

    def run_to(n):
        def run():
            result = stasis.restore(env={"STASIS_TEST_POINT": f"{n}:{how}"})
            if how == "fail" and result.status != 0:
                result.expect_failure()
        return run

    restores(images, [(f"{how} at point {n}, {point}", run_to(n))
                      for n, point in chosen(names)])
    stasis.restore().expect_success()
    alive_or_fail(images.victim, "restored in the end")
