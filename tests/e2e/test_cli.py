"""The command line: versions, exit codes, sentences, and that nothing of the option table is missing
from the help, the manual page and the completion."""

import json
import os
import re
import shutil
import subprocess

import pytest

from stasis import BUILD, SOURCE, STASIS


@pytest.fixture
def home(tmp_path):
    """An empty home directory; no configuration of the machine's user gets in."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def run(home):
    def run(*arguments, program=STASIS, **environment):
        env = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
        return subprocess.run([str(program), *map(str, arguments)], env=env, cwd=home,
                              capture_output=True, text=True, timeout=60)
    return run


@pytest.fixture
def criu(tmp_path):
    path = tmp_path / "criu"
    path.symlink_to(STASIS)
    return path


@pytest.fixture
def rows(run):
    """The names of all options, from the table's own column of the help."""
    names = re.findall(r"^ {2,6}(?:-\w, )?--([\w-]+)", run("--help").stdout, re.M)
    assert len(names) > 80 and len(names) == len(set(names))
    return names


def rows_of_source():
    text = (SOURCE / "src/cli/options.c").read_text()
    return re.findall(r'^\{"([\w-]+)",', text, re.M)


def sentence(result):
    """The one line on standard error."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert re.match(r"\(\d+\.\d{6}\) Error: ", lines[0])
    return lines[0].split("Error: ", 1)[1]


def test_version(run, criu):
    assert run("--version").stdout.startswith("stasis ")
    for option in "--version", "-V":
        result = run(option, program=criu)
        lines = result.stdout.splitlines()
        assert lines[0] == "Version: 4.2"
        assert lines[1].startswith("stasis ")
        assert result.returncode == 0


def test_help_covers_every_row(rows):
    assert sorted(rows) == sorted(rows_of_source())


def test_help_of_a_command(run):
    result = run("check", "--help")
    assert result.returncode == 0
    assert "--feature" in result.stdout
    assert "--leave-running" not in result.stdout


def test_manual_covers_every_row(rows):
    page = (BUILD / "docs/stasis.8").read_text().replace("\\-", "-").replace("\\fB", "")
    for name in rows:
        assert re.search(rf"^(-\w\\fR, )?--{name}( |\\fR)", page, re.M), name
    assert "@" not in page.replace("[@BRIDGE]", "").split("make_docs.c).", 1)[1]


@pytest.mark.skipif(not shutil.which("man"), reason="no man here")
def test_manual_is_clean_roff():
    result = subprocess.run(["man", "-l", "--warnings", BUILD / "docs/stasis.8"],
                            env={**os.environ, "MANROFFSEQ": "", "LC_ALL": "C.UTF-8"},
                            capture_output=True, text=True)
    assert result.stderr == ""


def test_completion_covers_every_row(rows):
    script = BUILD / "docs/stasis"
    text = script.read_text()
    subprocess.run(["bash", "-n", script], check=True)
    for name in rows:
        assert f" --{name} " in text.replace("'", " "), name
    answer = subprocess.run(
        ["bash", "-c", f". {script}; COMP_WORDS=(stasis dump --leave-r); COMP_CWORD=2; _stasis;"
         'echo "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["--leave-running"]


@pytest.mark.parametrize("arguments, says", [
    ([], "no command is given"),
    (["frobnicate"], "unknown command 'frobnicate'"),
    (["check", "--nosuch"], "unknown or ambiguous option --nosuch"),
    (["check", "-Z"], "unknown option -Z"),
    (["check", "--feature"], "--feature needs an argument"),
    (["check", "--all=yes"], "--all=yes takes no argument"),
    (["check", "extra"], "check does not take 'extra'"),
    (["check", "--tree", "5"], "--tree is not an option of check"),
    (["check", "-v9x"], "--verbosity takes a number from 0 to 4, not '9x'"),
    (["check", "--config", "/nonexistent"],
     "the configuration file /nonexistent cannot be read: No such file or directory"),
    (["check", "--unprivileged"], "--unprivileged is not built yet"),
    (["page-server"], "page-server is not built yet"),
    (["check", "-o", "x.log", "-v4", "--close", "x"], "--close takes a descriptor's number, not 'x'"),
])
def test_mistakes(run, criu, arguments, says):
    result = run(*arguments)
    assert result.returncode == 2
    assert sentence(result) == says
    assert result.stdout == ""
    # CRIU takes every option with every command; all its failures are 1.
    if "not an option" not in says:
        result = run(*arguments, program=criu)
        assert result.returncode == 1
        assert sentence(result) == says


def test_mistakes_as_json(run):
    result = run("check", "--nosuch", "--json")
    assert result.returncode == 2
    answer = json.loads(result.stdout)
    assert answer == {"success": False, "problems": [], "error": {
        "class": "usage", "errno": 0, "message": "unknown or ambiguous option --nosuch",
        "pid": None, "fd": None, "object": None, "hint": None}}


def test_log_file(run, home):
    (home / "work").mkdir()
    log = home / "work/my.log"
    log.write_text("of an earlier run")
    inode = log.stat().st_ino
    result = run("verify", "/nonexistent", "-o", "my.log", "-W", "work", "-v4")
    assert result.returncode == 5
    assert sentence(result) in log.read_text()
    assert "earlier" not in log.read_text()
    assert log.stat().st_ino == inode
    first = next(line for line in log.read_text().splitlines() if "Error" in line)
    assert sentence(result) in first


def test_log_file_that_cannot_be(run):
    result = run("check", "-o", "no/such/log")
    assert result.returncode == 2
    assert sentence(result).startswith("the log no/such/log cannot be opened")


@pytest.mark.parametrize("option", ["-v0", "--quiet", "-v1"])
def test_failure_is_never_silent(run, option):
    for more in [], ["-o", "a.log"]:
        result = run("verify", "/nonexistent", option, *more)
        assert result.returncode == 5
        assert len(result.stderr.splitlines()) == 1


def test_configuration_file(run, home):
    (home / ".stasis").mkdir()
    (home / ".stasis/default.conf").write_text("json # always\nlog-file \"a b.log\"\n")
    result = run("check", "--feature", "kcmp")
    assert json.loads(result.stdout)["success"]
    assert (home / "a b.log").exists()
    result = run("check", "--feature", "kcmp", "--no-json")
    assert result.stdout == "kcmp is supported\n"
    (home / ".stasis/default.conf").write_text("log-file a b\n")
    result = run("check")
    assert result.returncode == 2
    assert "default.conf:1: 'b' after the argument of log-file" in sentence(result)
    assert run("check", "--no-default-config").returncode in (0, 4)


def test_closed_standard_descriptors(home):
    """What is opened must not land on standard error's number."""
    command = f'cd {home}; "{STASIS}" verify /nonexistent -o x.log 2>&- >&- <&-'
    assert subprocess.run(["bash", "-c", command]).returncode == 5
    assert "Error" in (home / "x.log").read_text()


def test_check(run, criu):
    result = run("check", program=criu)
    assert result.stdout == "Looks good.\n"
    assert result.returncode == 0
    result = run("check", "--all", "--json")
    answer = json.loads(result.stdout)
    lacking = [row["name"] for row in answer["features"] if not row["present"]]
    assert answer["success"] == (not lacking)
    assert result.returncode == (4 if lacking else 0)
    assert len(answer.get("problems", [])) == len(lacking)
    assert result.returncode == 0 or all(p["hint"] for p in answer["problems"])


def test_check_features(run, criu):
    names = run("check", "--feature", "list", program=criu).stdout.split()
    for name in ("mem_dirty_track", "aio_remap", "uffd", "uffd-noncoop", "lazy_pages", "memfd",
                 "timens", "pidfd_store", "get_rseq_conf", "clone3_set_tid", "can_map_vdso"):
        assert name in names
    for name in names:
        result = run("check", "--feature", name, program=criu)
        yes = result.returncode == 0
        assert result.stdout == f"{name} is {'' if yes else 'not '}supported\n"
    result = run("check", "--feature", "nosuch")
    assert result.returncode == 2
    assert sentence(result).startswith("unknown feature 'nosuch'")


def test_unprivileged(run, criu):
    """Without capabilities the base lacks, and check says what."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    result = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set",
         "-all", str(STASIS), "check", "--no-default-config"],
        capture_output=True, text=True, cwd="/", env={"PATH": os.environ["PATH"]})
    if "Permission denied" in result.stderr and "Error" not in result.stderr:
        pytest.skip("the program cannot be reached by another user")
    assert result.returncode == 4
    assert result.stdout == "Does not look good.\n"
    assert "cap_sys_ptrace is missing" in result.stderr


def test_install(tmp_path):
    """make install, as a packager calls it, from a build directory of its own."""
    environment = {**os.environ, "DESTDIR": str(tmp_path / "root")}
    if not (BUILD / "build.ninja").exists():
        pytest.skip("no build directory")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"], env=environment,
                   check=True, capture_output=True)
    installed = {p.name: p for p in (tmp_path / "root").rglob("*") if not p.is_dir()}
    program = next(p for p in (tmp_path / "root").rglob("sbin/criu"))
    assert os.readlink(program) == "stasis"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, cwd="/")
    assert version.stdout.startswith("Version: 4.2\n")
    assert {"stasis.8", "criu.8"} <= set(installed)
    assert next((tmp_path / "root").rglob("bash-completion/completions/criu")).exists()
