"""A file system that has changed between a dump and a restore: found before anything is created."""

import os
import shutil

import pytest

from stasis import bring_back, checkpoint, state_of

CONFLICT = 6


@pytest.fixture
def held(start, stasis):
    """A dumped victim `holder`, and what /proc said of it."""
    victim = start("holder")
    before, _ = checkpoint(victim, stasis)
    return victim, before


def refused(victim, stasis, *names, options=()):
    """The restore fails with all of the names, and nothing is there afterwards."""
    result = stasis.restore(*options).expect_failure()
    assert result.status == CONFLICT, str(result)
    for name in names:
        assert name in result.err, f"{name} is not named\n{result}"
    assert state_of(victim.pid) is None, f"something was left\n{result}"
    return result


def test_unchanged(held, stasis):
    victim, before = held
    bring_back(victim, stasis, before)
    victim.assert_intact("restored")


def test_missing_file(held, stasis):
    victim, _ = held
    (victim.directory / "one").unlink()
    refused(victim, stasis, "one")


def test_everything_missing_in_one_list(held, stasis):
    victim, _ = held
    (victim.directory / "one").unlink()
    shutil.rmtree(victim.directory / "sub")
    os.rmdir(victim.directory / "work")
    refused(victim, stasis, "one", "sub/two", "work")


def test_changed_size(held, stasis):
    victim, _ = held
    with open(victim.directory / "one", "a") as f:
        f.write("more")
    result = refused(victim, stasis, "one")
    assert "10" in result.err and "14" in result.err, "the sizes are not named"


def test_file_became_directory(held, stasis):
    victim, _ = held
    (victim.directory / "one").unlink()
    (victim.directory / "one").mkdir()
    refused(victim, stasis, "one")


def test_build_id(start, stasis):
    """--file-validation buildid: a program of the same size but another build is refused."""
    victim = start("holder")
    checkpoint(victim, stasis, "--file-validation", "buildid")
    path = victim.directory / "library"
    content = bytearray(path.read_bytes())
    note = content.index(b"GNU\0", content.index(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0")) + 4
    content[note] ^= 0xff
    path.write_bytes(content)
    refused(victim, stasis, "library", options=("--file-validation", "buildid"))


def test_ghost_limit(start, stasis):
    """Deleted files above --ghost-limit are refused by name; the limit can be raised."""
    victim = start("files_deleted")
    result = stasis.dump(victim.pid, "--ghost-limit", "1000").expect_failure()
    assert "sparse" in result.err and "--ghost-limit" in result.err, str(result)
    victim.assert_intact("after a dump that was refused")


def test_link_remap_is_asked_for(start, stasis):
    """A file with another name: refused by default, and the option that helps is named."""
    victim = start("files_linked")
    result = stasis.dump(victim.pid).expect_failure()
    assert "--link-remap" in result.err, str(result)
    victim.assert_intact("after a dump that was refused")


def test_half_written_directory(start, stasis):
    """A dump that was killed leaves a directory that says so."""
    victim = start("counter")
    stasis.dump(victim.pid, "-R", env={"STASIS_TEST_POINT": "4:kill"})
    result = stasis.restore()
    result.expect_failure()
    victim.assert_intact("after a dump that was killed")


def test_link_remap_leaves_nothing(start, stasis):
    """The name that a dump gave to a nameless file is gone after the restore."""
    victim = start("files_linked")
    names = set(os.listdir(victim.directory))
    before, _ = checkpoint(victim, stasis, "--link-remap")
    bring_back(victim, stasis, before)
    assert set(os.listdir(victim.directory)) == names
