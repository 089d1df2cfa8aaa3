"""Our images and Debian's crit (3.17.1): each reads what the other writes, and prints the same JSON."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("STASIS_BUILD", SOURCE / "build-test"))
FRONT = BUILD / "tests/unit/image_front"
REAL = SOURCE.parent / "shared/images"
CHECKPOINTS = ["counter", "pipeline", "python-many"]

# Members that crit 3.17.1 has not heard of, because they came later: it drops them.
NEWER = {
    "allow_uprobes", "cap_amb", "cet", "cg_set", "dump_criu_run_id", "ipv4_sysctl", "is_threaded",
    "membarrier_registration_mask", "mode", "no_new_privs", "pac_keys", "pidfd", "pktinfo",
    "plugins_entry", "stop_signo", "tcp_opts", "tos", "ttl",
}
# And our own: fields numbered from 1000 on.
for proto in (SOURCE / "proto").glob("*.proto"):
    NEWER |= set(re.findall(r"(\w+) = 1\d\d\d\b", proto.read_text()))
# Kinds of image that are newer, or that crit knows by magic only.
UNKNOWN = {"pidfd.img", "binfmt-misc.img", "binfmt-misc-10.img", "signal-s-10.img", "signal-p-10.img"}

needs_front = pytest.mark.skipif(not FRONT.exists(), reason=f"{FRONT} is not built")
needs_crit = pytest.mark.skipif(not shutil.which("crit", path="/usr/bin"), reason="no crit")
needs_images = pytest.mark.skipif(not REAL.is_dir(), reason=f"no {REAL}")
pytestmark = needs_front


def crit(path):
    # A python elsewhere in PATH must not shadow the one that has crit's modules.
    env = dict(os.environ, PATH="/usr/bin:/bin")
    out = subprocess.run(["/usr/bin/crit", "decode", "-i", path], env=env, check=True,
                         capture_output=True, text=True, errors="surrogateescape")
    return json.loads(out.stdout)


def show(*args):
    out = subprocess.run([FRONT, "show", *args], check=True, capture_output=True, text=True)
    return out.stdout


def ours(path):
    return json.loads(show(path, "--json"))


def as_3_17(value):
    """Our value as a crit of 3.17.1 would print it."""
    if isinstance(value, list):
        return [as_3_17(v) for v in value]
    if not isinstance(value, dict):
        return value
    value = dict(value)
    if "compat_nr_pages" in value:
        # Field 2 of pagemap_entry was called nr_pages until 4.1.
        value["nr_pages"] = value.pop("compat_nr_pages")
    return {k: as_3_17(v) for k, v in value.items()}


def differences(theirs, mine, path=""):
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for key in theirs.keys() | mine.keys():
            if key not in theirs and key in NEWER:
                continue
            if key not in theirs or key not in mine:
                yield f"{path}.{key}: only in {'ours' if key in mine else 'crit'}"
            else:
                yield from differences(theirs[key], mine[key], f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(mine, list) and len(theirs) == len(mine):
        for number, (a, b) in enumerate(zip(theirs, mine)):
            yield from differences(a, b, f"{path}[{number}]")
    elif theirs != mine:
        yield f"{path}: {theirs!r} is {mine!r} here"


def images(directory):
    return [p for p in sorted(Path(directory).iterdir())
            if p.is_file() and not p.name.startswith(("pages-", ".")) and p.suffix != ".json"]


@needs_crit
@needs_images
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_real_images_read_as_crit_reads_them(name):
    for image in images(REAL / name / "images"):
        assert list(differences(crit(image), as_3_17(ours(image)))) == [], image.name


@pytest.fixture
def samples(tmp_path):
    subprocess.run([FRONT, "samples", tmp_path], check=True)
    return tmp_path


@needs_crit
def test_crit_reads_every_image_of_ours(samples):
    seen = 0
    for image in images(samples):
        if image.name in UNKNOWN or not has_magic(image):
            continue
        seen += 1
        assert list(differences(crit(image), as_3_17(ours(image)))) == [], image.name
    assert seen > 50


def has_magic(image):
    return image.read_bytes()[:4] in (b"\x19\x43\x56\x54", b"\x40\x59\x10\x55")


@needs_crit
def test_crit_encodes_what_we_show(samples, tmp_path):
    """The JSON goes back to the same bytes: an edited image can be restored."""
    for name in ("pstree.img", "fdinfo-10.img", "fs-10.img", "sk-queues.img", "tty-data.img"):
        text = tmp_path / "text"
        back = tmp_path / "back"
        text.write_text(show(samples / name, "--json"))
        subprocess.run(["/usr/bin/crit", "encode", "-i", text, "-o", back], check=True,
                       env=dict(os.environ, PATH="/usr/bin:/bin"))
        assert back.read_bytes() == (samples / name).read_bytes(), name


@needs_crit
@needs_images
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_ps_reads_as_crit_prints_it(name):
    theirs = subprocess.run(["/usr/bin/crit", "x", REAL / name / "images", "ps"], check=True,
                            capture_output=True, text=True,
                            env=dict(os.environ, PATH="/usr/bin:/bin")).stdout
    assert show(REAL / name / "images", "ps") == theirs


@needs_images
@pytest.mark.parametrize("view", ["ps", "fds", "mems", "rss"])
def test_views(view):
    directory = REAL / "python-many/images"
    assert "31901" in show(directory, view)
    tasks = json.loads(show(directory, view, "--json"))
    assert [t["pid"] for t in tasks] == [31901, 31906]
    assert tasks[0]["comm"] == "python3"


@needs_images
def test_summary_and_text():
    directory = REAL / "python-many/images"
    assert "2 tasks, 5 threads" in show(directory)
    assert json.loads(show(directory, "--json"))["open_files"] == 41
    # With or without the suffix; flags by name, addresses in hexadecimal.
    assert show(directory, "mm-31901") == show(directory, "mm-31901.img")
    assert "prot: read | exec" in show(directory, "mm-31901")
    assert "vaddr: 0x41f000" in show(directory, "pagemap-31901")


def test_half_written_is_refused_by_name(tmp_path):
    (tmp_path / ".stasis-partial").mkdir()
    out = subprocess.run([FRONT, "show", tmp_path], capture_output=True, text=True)
    assert out.returncode == 5
    assert f"{tmp_path} is half-written" in out.stderr
