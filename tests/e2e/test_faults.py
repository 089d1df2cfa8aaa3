"""Every system call of the conductor fails once, over a dump and a restore of a small tree.

tests/tools/failnth makes the N-th call fail. Each time: success (the call was advisory) or one clear error
and no crash; the victim of a dump is untouched, of a restore nothing is left or all of it. What was wrong
with any N is collected, so that one run shows all.
"""

import errno
import os

import pytest

from stasis import TOOLS, Failure
from test_kill import Images

# Call N fails with the (N mod 6)th: the numbers of the calls of two victims differ, so each kind of call
# meets several.
ERRORS = [errno.EIO, errno.ENOMEM, errno.EPERM, errno.EMFILE, errno.EINVAL, errno.ENOSYS]
# On a slow machine every k-th keeps the time within limits.
STEP = int(os.environ.get("STASIS_TEST_FAULT_STEP", "1"))
WORST = 12

pytestmark = pytest.mark.timeout(900)


def count_calls(stasis, arguments):
    path = stasis.images.parent / "calls"
    stasis.run(*arguments, wrapper=[TOOLS / "failnth", "count", path]).expect_success()
    return int(path.read_text())


def failing(n, error):
    return [TOOLS / "failnth", n, error]


def judge(n, result):
    """A sentence if the run did not end as it must."""
    if result.status == 0:
        return None
    if result.status == 134 and "futex facility" in result.err:
        return None  # libc ends the program where a futex of its own fails
    if result.status >= 124 or result.status < 0:
        return f"call {n}: ended with {result.status}: {result.err.strip()[-300:]}"
    if not [line for line in result.err.splitlines() if not line.startswith("failnth:")]:
        return f"call {n}: failed without a word ({result.err.strip()})"
    return None


def conclude(complaints, runs):
    if complaints:
        shown = "\n".join(complaints[:WORST])
        raise Failure(f"{len(complaints)} of {runs} runs ended badly:\n{shown}")


def first_line(failure):
    return str(failure).strip().splitlines()[0][:300]


def attempt(n, run):
    """Runs once with call n failing. Returns the result, None if it hung, and a complaint or None."""
    try:
        result = run(wrapper=failing(n, ERRORS[n % len(ERRORS)]), timeout=15)
    except Failure as e:
        said = [line for line in str(e).splitlines() if line.startswith("failnth:")]
        return None, f"call {n}: hangs; {' '.join(said)}"
    return result, judge(n, result)


def said_by(result):
    return result.err.strip()[-200:] if result else "(hung)"


@pytest.mark.parametrize("name", ["counter", "files_shared"])
def test_dump(start, stasis, name):
    victim = start(name)
    calls = count_calls(stasis, stasis.dump_arguments(victim.pid, "-R"))
    complaints = []
    for n in range(1, calls + 1, STEP):
        result, complaint = attempt(n, lambda **how: stasis.dump(victim.pid, "-R", **how))
        try:
            victim.assert_intact("afterwards")
        except Failure as e:
            complaint = f"call {n}: {first_line(e)}; stasis said: {said_by(result)}"
            victim.kill()
            victim = start(name)
        if complaint:
            complaints.append(complaint)
    stasis.dump(victim.pid, "-R").expect_success()
    victim.assert_intact("dumped in the end")
    conclude(complaints, calls)


@pytest.mark.parametrize("name", ["counter", "files_shared"])
def test_restore(start, stasis, name):
    images = Images(start(name), stasis)
    verified = images.victim.verifications
    calls = count_calls(stasis, stasis.restore_arguments())
    images.clear(verified)
    complaints = []
    for n in range(1, calls + 1, STEP):
        result, complaint = attempt(n, stasis.restore)
        try:
            whole = images.check_nothing_or_all("afterwards")
            if result and result.status == 0 and not whole:
                complaint = f"call {n}: success, and nothing is there"
        except Failure as e:
            complaint = f"call {n}: {first_line(e)}; stasis said: {said_by(result)}"
        images.clear(verified)
        if complaint:
            complaints.append(complaint)
    stasis.restore().expect_success()
    images.victim.assert_intact("restored in the end")
    conclude(complaints, calls)


def test_madvise_refused(start, stasis):
    """A hint that this kernel refuses is a warning: every madvise of the restore gives EINVAL.

    The filter that does it is inherited by what is restored, so the tree is not compared afterwards."""
    victim = start("mem_advice")
    tasks = victim.tasks()
    stasis.dump(victim.pid).expect_success()
    from stasis import await_gone

    await_gone(tasks)
    result = stasis.restore("-v4", wrapper=[TOOLS / "refuse-madvise"]).expect_success()
    assert "Warn" in result.log + result.err, str(result)
