"""What cannot be dumped is refused by name, by inspect and by dump alike, and does not notice."""

import json
import re

import pytest

from stasis import BUILD, Victim

# The kind as tests/victims/refused.c names it: what the refusal must contain (a regular expression).
KINDS = {
    "io_uring": "io_uring",
    "userfaultfd": "userfaultfd",
    "memfd_secret": "secret",
    "device-mapping": "/dev/mem|perf_event",
    "epoll": "epoll",
    "eventfd": "eventfd",
    "signalfd": "signalfd",
    "timerfd": "timerfd",
    "inotify": "inotify",
    "unix-socket": "socket",
    "tcp-socket": "socket",
    "netlink-socket": "socket",
    "terminal": "termina",
    "pidfd": "pidfd",
    "file-lock": "lock",
    "uts-namespace": "namespace",
    "net-namespace": "namespace",
    "mount-namespace": "namespace",
}
CANNOT_DUMP = 3


@pytest.fixture
def refused(directory):
    victims = []

    def start(kind):
        victims.append(Victim.of(directory / "victim", "refused", kind))
        return victims[0]

    yield start
    for victim in victims:
        victim.kill()


def test_all_kinds_are_tested(directory):
    import subprocess

    program = BUILD / "tests/victims/victim-refused"
    listed = subprocess.run([program, directory, "list"], capture_output=True, text=True)
    assert sorted(listed.stdout.split()) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_refused(refused, stasis, kind):
    victim = refused(kind)
    inspected = stasis.inspect(victim.pid)
    assert inspected.status == CANNOT_DUMP, str(inspected)
    said = inspected.out + inspected.err
    assert re.search(KINDS[kind], said) and str(victim.pid) in said, str(inspected)
    victim.assert_intact("after inspect")
    dumped = stasis.dump(victim.pid).expect_failure()
    assert dumped.status == CANNOT_DUMP and re.search(KINDS[kind], dumped.err), str(dumped)
    assert not list(stasis.images.glob("*.img")), "a refused dump has left images"
    victim.assert_intact("after a dump that was refused")


def test_inspect_finds_nothing(start, stasis):
    """A tree that can be dumped: inspect says so, and changes nothing."""
    victim = start("tree")
    stasis.inspect(victim.pid).expect_success()
    victim.assert_intact("after inspect")


def test_inspect_json(refused, stasis):
    """Every obstacle with its pid."""
    victim = refused("epoll")
    result = stasis.inspect(victim.pid, "--json")
    assert result.status == CANNOT_DUMP, str(result)
    assert str(victim.pid) in json.dumps(result.json) and "epoll" in json.dumps(result.json)
