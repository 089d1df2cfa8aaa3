"""Every victim: by itself, spoiled, left running, and over three generations."""

import pytest

from stasis import Failure, bring_back, checkpoint, victim_names
import procstate

VICTIMS = victim_names()


@pytest.mark.parametrize("name", VICTIMS)
def test_unchecked(start, name):
    """The victim passes where nothing happens to it, again and again, and leaves when told."""
    victim = start(name)
    for _ in range(2):
        victim.assert_intact("untouched")
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
    before = procstate.snapshot(victim.pid)
    stasis.dump(victim.pid, "-R").expect_success()
    difference = procstate.compare(before, procstate.snapshot(victim.pid))
    if difference:
        raise Failure("the dump changed the tree:\n" + "\n".join(difference))
    victim.assert_intact("after a dump that left it running")


@pytest.mark.parametrize("name", VICTIMS)
def test_generations(start, stasis, name, pytestconfig):
    """Dumped, gone, restored, verified, and all of it again with what was restored."""
    victim = start(name)
    for generation in range(1, pytestconfig.getoption("--generations") + 1):
        before, _ = checkpoint(victim, stasis)
        bring_back(victim, stasis, before)
        victim.assert_intact(f"generation {generation}")
        stasis.clear()
    victim.stop()
