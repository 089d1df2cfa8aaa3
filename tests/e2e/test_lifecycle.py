"""What a dump and a restore do as a whole, whatever is in the tree."""

import os
import signal
import time

import pytest

import procstate
from stasis import Failure, await_gone, bring_back, checkpoint, is_alive, state_of


def await_alive(pid, process):
    """Until the task is there; the process is the one that brings it."""
    deadline = time.monotonic() + 20
    while not is_alive(pid):
        if time.monotonic() > deadline or process.poll() is not None:
            raise Failure(f"not restored, status {process.poll()}")
        time.sleep(0.005)


def test_leave_running_then_restore(start, stasis):
    """Images of a dump that left its tree running are good after the tree's death, more than once."""
    victim = start("counter")
    victim.assert_intact("before")
    before = procstate.snapshot(victim.pid)
    stasis.dump(victim.pid, "-R").expect_success()
    for _ in range(2):
        victim.kill()
        # What the victim has answered since the dump it will answer again.
        for name in os.listdir(victim.directory):
            if name.startswith(("verify-", "result-")) and not name.endswith("-1"):
                (victim.directory / name).unlink()
        victim.verifications = 1
        bring_back(victim, stasis, before)
        victim.assert_intact("restored")


def test_dump_kills(start, stasis):
    victim = start("counter")
    tasks = victim.tasks()
    stasis.dump(victim.pid).expect_success()
    await_gone(tasks, timeout=5)


def test_leave_stopped(start, stasis):
    victim = start("counter")
    stasis.dump(victim.pid, "-s").expect_success()
    assert state_of(victim.pid) == "T"
    os.kill(victim.pid, signal.SIGCONT)
    victim.assert_intact("after -s and SIGCONT")


def test_restore_next_to_original_is_refused(start, stasis):
    """The pid is taken: one error, and nothing happens to the one who has it."""
    victim = start("counter")
    stasis.dump(victim.pid, "-R").expect_success()
    result = stasis.restore().expect_failure()
    assert str(victim.pid) in result.err
    victim.assert_intact("after a restore beside it that was refused")


def test_dry_run(start, stasis):
    """Nothing is created, and the plan is printed."""
    victim = start("counter")
    before, _ = checkpoint(victim, stasis)
    result = stasis.run("restore", "-D", stasis.images, "--dry-run").expect_success()
    assert result.out.strip()
    assert state_of(victim.pid) is None
    bring_back(victim, stasis, before)
    victim.assert_intact("after a dry run and a restore")


def test_no_such_process(stasis):
    stasis.dump(4194000).expect_failure()


def test_empty_directory(stasis):
    stasis.restore().expect_failure()


def test_restore_without_detach_waits(start, stasis):
    """Without -d stasis stays, and ends with the tree's exit status."""
    import subprocess
    from stasis import STASIS

    victim = start("counter")
    checkpoint(victim, stasis)
    process = subprocess.Popen([STASIS, "restore", "-D", stasis.images], stdin=subprocess.DEVNULL)
    await_alive(victim.pid, process)
    victim.assert_intact("restored without -d")
    assert process.poll() is None
    (victim.directory / "stop").touch()
    assert process.wait(20) == 0


def test_exits_while_being_frozen(stasis):
    """A process that is about to end: its dump succeeds or says in one error why not."""
    for i in range(60):
        pid = os.posix_spawn("/bin/sleep", ["sleep", str(i * 0.0002)], os.environ, setsid=True)
        result = stasis.dump(pid)
        if result.status != 0:
            result.expect_failure()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await_gone([pid])
        stasis.clear()


@pytest.mark.parametrize("name", ["tree", "threads_500", "syscalls_blocked", "files_shared"])
@pytest.mark.host
def test_in_the_machines_pids(start, stasis, name):
    """The same without a sandbox: nothing depends on namespaces of one's own."""
    victim = start(name)
    before, _ = checkpoint(victim, stasis)
    bring_back(victim, stasis, before)
    victim.assert_intact("restored")
    victim.stop()


@pytest.mark.parametrize("name", ["counter", "procs_200", "threads_500", "mem_areas"])
def test_many_dumps(start, stasis, name):
    """Thirty dumps of a tree that is left running: still untouched, and nothing grows."""
    victim = start(name)
    before = procstate.snapshot(victim.pid)
    for _ in range(30 if name == "counter" else 5):
        stasis.dump(victim.pid, "-R").expect_success()
    difference = procstate.await_same(victim.pid, before)
    assert not difference, "\n".join(difference)
    victim.assert_intact("after many dumps")


def test_reservation_is_cheap(start, stasis):
    """16 TiB with a thousand pages: under 64 MB of our memory. (Its time is reported by bench.)"""
    import resource

    victim = start("mem_reservation")
    stasis.dump(victim.pid, "-R").expect_success()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert peak < 64 * 1024, f"{peak} kB"


def test_shared_pages_are_stored_once(start, stasis):
    """Three tasks share 2048 pages since fork: there is room for one copy of them in the images.

    Not by default: CRIU, which must be able to restore what stasis writes, has no form for it."""
    victim = start("mem_cow")
    stasis.dump(victim.pid, "-R", "--share-pages").expect_success()
    size = sum(path.stat().st_size for path in stasis.images.glob("pages-*.img"))
    assert size < 2 * 2048 * 4096, f"{size} bytes of pages"


def test_shell_job(start, stasis):
    """A tree that does not lead its session: refused with the option that helps, and restored with it."""
    victim = start("counter", session=False)
    result = stasis.dump(victim.pid).expect_failure()
    assert "--shell-job" in result.err, str(result)
    victim.assert_intact("after a dump that was refused")
    before, _ = checkpoint(victim, stasis, "--shell-job")
    bring_back(victim, stasis, before, "--shell-job")
    victim.assert_intact("restored")


def test_restore_sibling(start, stasis):
    """With -S the root becomes a child of whoever called stasis."""
    import subprocess
    from stasis import STASIS

    victim = start("counter")
    checkpoint(victim, stasis)
    caller = subprocess.Popen(
        ["/bin/sh", "-c", f"{STASIS} restore -D {stasis.images} -d -S; read line"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    await_alive(victim.pid, caller)
    victim.assert_intact("restored")
    with open(f"/proc/{victim.pid}/stat") as f:
        parent = int(f.read().rpartition(")")[2].split()[1])
    caller.communicate(b"\n")
    assert parent == caller.pid
