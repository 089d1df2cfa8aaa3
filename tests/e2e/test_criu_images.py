"""Checkpoints that CRIU 4.2 wrote are restored and go on where they were.

They were taken on a CPU with AVX-512, and busybox's libc has chosen its functions for it. On a CPU without, stasis
must refuse by name; that what it builds with --cpu-cap=none is right is then seen on tasks that stay stopped.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from stasis import state_of

IMAGES = Path(__file__).resolve().parents[3] / "shared/images"
PEER = Path("/tmp/peer")
# vma status bits: vsyscall, vvar
KERNELS_OWN = 1 << 2 | 1 << 12
HAS_AVX512 = "avx512f" in Path("/proc/cpuinfo").read_text()
# name: pid of the root, command of every task
CHECKPOINTS = {"counter": {31001: "sh", 31160: "usleep"},
               "pipeline": {31101: "sh", 31103: "sh", 31104: "sh", 31504: None}}

pytestmark = pytest.mark.skipif(not IMAGES.is_dir(), reason=f"no {IMAGES}")


@pytest.fixture(params=CHECKPOINTS)
def checkpoint(request):
    """The directory of images, with the files that the tree had, in a place that only this test sees."""
    name = request.param
    PEER.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "peer", PEER], check=True)
    for file in (IMAGES / name / "files").iterdir():
        shutil.copy(file, PEER)
        (PEER / file.name).chmod(0o644)
    yield name, IMAGES / name / "images"
    subprocess.run(["umount", "-l", PEER], check=True)


def crit(*arguments):
    env = dict(os.environ, PATH="/usr/bin:/bin")
    return subprocess.run(["/usr/bin/crit", *map(str, arguments)], env=env, check=True, capture_output=True).stdout


def stopped_copy(images, to):
    """The same checkpoint of tasks that are stopped."""
    shutil.copytree(images, to)
    for core in to.glob("core-*.img"):
        core.chmod(0o644)
        entry = json.loads(crit("decode", "-i", core))
        # Debian's crit has the names of 3 (stopped) and 6 (zombie) the wrong way round.
        entry["entries"][0]["tc"]["task_state"] = "Zombie"
        text = to / "core.json"
        text.write_text(json.dumps(entry))
        crit("encode", "-i", text, "-o", core)
        text.unlink()
    return to


def areas(pid):
    """Addresses and rights, without what the kernel names."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[0]: line.split()[1] for line in lines if "[vvar" not in line and "[vsyscall" not in line}


def areas_of_image(images, pid):
    entry = json.loads(crit("decode", "-i", images / f"mm-{pid}.img"))["entries"][0]
    result = {}
    for vma in entry["vmas"]:
        status = vma["status"]
        # A bit that crit 3.17.1 has no name for (vvar) makes it print the number.
        if (int(str(status), 0) & KERNELS_OWN) if str(status)[0].isdigit() else "VSYSCALL" in status:
            continue
        start, end = (int(str(vma[k]), 0) for k in ("start", "end"))
        result[f"{start:08x}-{end:08x}"] = vma["prot"]
    return result


@pytest.mark.skipif(not HAS_AVX512, reason="the images need a CPU with AVX-512")
def test_goes_on(checkpoint, stasis):
    name, images = checkpoint
    before = int((PEER / "count").read_text().split()[-1])
    stasis.run("restore", "-d", "-D", images).expect_success()
    deadline = time.monotonic() + 10
    while int((PEER / "count").read_text().split()[-1] or 0) <= before + 3:
        assert time.monotonic() < deadline, f"stands at {before}"
        time.sleep(0.1)


@pytest.mark.skipif(HAS_AVX512, reason="this CPU has AVX-512")
def test_foreign_cpu_is_refused(checkpoint, stasis):
    name, images = checkpoint
    result = stasis.run("restore", "-d", "-D", images).expect_failure()
    assert result.status == 6
    assert "AVX-512" in result.err and "--cpu-cap=none" in result.err
    assert not any(Path(f"/proc/{pid}").exists() for pid in CHECKPOINTS[name])


def test_built_as_the_images_say(checkpoint, stasis, directory):
    name, images = checkpoint
    stopped = stopped_copy(images, directory / "stopped")
    stasis.run("restore", "-d", "-D", stopped, "--cpu-cap=none").expect_success()
    for pid in CHECKPOINTS[name]:
        assert state_of(pid) == "T"
        wanted = areas_of_image(images, pid)
        assert wanted.keys() <= areas(pid).keys() | {"ffffffffff600000-ffffffffff601000"}, pid
        assert Path(f"/proc/{pid}/exe").resolve().name == "busybox"
        assert os.readlink(f"/proc/{pid}/cwd") == str(PEER)
    # The second generation: what was restored can be dumped.
    root = next(iter(CHECKPOINTS[name]))
    stasis.dump(root, "-R").expect_success()
