"""Every victim: by itself, spoiled, left running, and over three generations."""

import pytest

from stasis import Failure, bring_back, checkpoint, victim_names
import procstate

VICTIMS = victim_names()

# What the user has to say for these to be dumped.
OPTIONS = {"files_linked": ["--link-remap"], "vfork_parent": ["--timeout", "1"]}

# These may be refused (or waited for until the time is over), if the refusal names what it is about.
MAY_BE_REFUSED = {"shared_vm": "CLONE_VM", "vfork_parent": "vfork"}
CANNOT_DUMP, TIMEOUT = 3, 8

pytestmark = pytest.mark.timeout(240)


def options_of(name):
    return OPTIONS.get(name, [])


def refused_by_name(name, victim, stasis):
    """True where the victim may be refused and is, properly."""
    word = MAY_BE_REFUSED.get(name)
    if not word:
        return False
    result = stasis.dump(victim.pid, "-R", *options_of(name))
    if result.status == 0:
        return False
    result.expect_failure()
    assert result.status in (CANNOT_DUMP, TIMEOUT) and word in result.err, str(result)
    victim.assert_intact("after a dump that was refused")
    return True


@pytest.mark.parametrize("name", VICTIMS)
def test_unchecked(start, name):
    """The victim passes where nothing happens to it, again and again, and leaves when told."""
    victim = start(name)
    for _ in range(2):
        victim.assert_intact("untouched")
    assert not procstate.await_same(victim.pid, procstate.snapshot(victim.pid))
    victim.stop()


@pytest.mark.parametrize("name", VICTIMS)
def test_spoiled(start, name):
    """The victim notices when its state is not what it was."""
    victim = start(name, "spoil")
    answer = victim.verify()
    assert answer.startswith("fail: "), f"a spoiled victim says {answer}"


@pytest.mark.parametrize("name", VICTIMS)
def test_leave_running(start, stasis, name):
    """A dump with -R changes nothing; what it wrote can be restored after the victim's end."""
    victim = start(name)
    if refused_by_name(name, victim, stasis):
        return
    before = procstate.snapshot(victim.pid)
    stasis.dump(victim.pid, "-R", *options_of(name)).expect_success()
    difference = procstate.await_same(victim.pid, before)
    if difference:
        raise Failure("the dump changed the tree:\n" + "\n".join(difference))
    victim.assert_intact("after a dump that left it running")


@pytest.mark.parametrize("name", VICTIMS)
def test_generations(start, stasis, name, pytestconfig):
    """Dumped, gone, restored, verified, and all of it again with what was restored."""
    victim = start(name)
    if refused_by_name(name, victim, stasis):
        return
    for generation in range(1, pytestconfig.getoption("--generations") + 1):
        before, _ = checkpoint(victim, stasis, *options_of(name))
        bring_back(victim, stasis, before)
        victim.assert_intact(f"generation {generation}")
        stasis.clear()
    victim.stop()
