"""Trees that fork, exec, create threads or map memory furiously while they are being frozen."""

import pytest

from stasis import Victim

KINDS = ["fork", "chain", "exec", "thread", "map", "signal"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(300)
def test_storm(directory, stasis, kind):
    """Each dump succeeds or gives one error; the storm goes on, and can be dumped in the end."""
    victim = Victim.of(directory / "victim", "storm", kind)
    good = 0
    for _ in range(25):
        result = stasis.dump(victim.pid, "-R")
        if result.status != 0:
            result.expect_failure()
        good += result.status == 0
        victim.assert_intact(f"after a dump that ended with {result.status}")
    assert good, f"none of 25 dumps succeeded, the last says\n{result}"
    victim.kill()


@pytest.mark.parametrize("kind", ["fork", "thread", "map", "signal", "exec"])
@pytest.mark.timeout(300)
def test_storm_restored(directory, stasis, kind):
    """What was caught in a storm goes on storming."""
    from stasis import await_gone

    victim = Victim.of(directory / "victim", "storm", kind)
    for _ in range(5):
        for _ in range(20):
            tasks = victim.tasks()
            result = stasis.dump(victim.pid)
            if result.status == 0:
                break
        result.expect_success()
        await_gone(tasks)
        stasis.restore().expect_success()
        victim.assert_intact("restored")
        stasis.clear()
    victim.kill()
