"""What /proc says of a tree of processes, in a form that can be compared.

A victim checks the state it is about; this compares everything else, for every victim. Left out is what
rightly changes: counters of time and faults, addresses of kernel objects, inode numbers of pipes, the
amount of memory in use (a restored page may be shared or not), start times.
"""

import os
import re
import time
from pathlib import Path

import sandbox

# /proc/PID/status. Not: State (running or sleeping), pending signals (they come and go), sizes, switches,
# FDSize (grown by use).
STATUS = """Name Umask Tgid Pid PPid TracerPid Uid Gid Groups NStgid NSpid NSpgid NSsid Threads
    SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters
    Speculation_Store_Bypass THP_enabled untag_mask Cpus_allowed VmLck CoreDumping""".split()

# /proc/PID/stat by position after the name: ppid pgrp session tty_nr tpgid ... nice, rt_priority, policy
# (the second number is the position in proc(5)).
STAT = {"pgrp": 5, "session": 6, "tty": 7, "nice": 19, "exit_signal": 38, "rt_priority": 40,
        "policy": 41, "start_code": 26, "start_stack": 28, "start_data": 45, "start_brk": 47,
        "arg_start": 48, "arg_end": 49, "env_start": 50, "env_end": 51}

SMALL_FILES = ["cmdline", "environ", "comm", "limits", "oom_score_adj", "coredump_filter",
               "personality", "loginuid", "timerslack_ns", "cgroup", "uid_map"]

# What is left of a task when it is dead.
ZOMBIE = ["stat state", "stat pgrp", "stat session", "status Name", "status Pid", "status PPid",
          "status Uid", "status Gid"]

# VmFlags that come and go without anybody's doing: soft-dirty; account and merge hints of the kernel.
VOLATILE_FLAGS = {"sd"}


def _read(path):
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError as e:
        return f"({e.strerror})"


def _link(path):
    try:
        return os.readlink(path)
    except OSError as e:
        return f"({e.strerror})"


def _status(directory):
    fields = dict(line.split(":", 1) for line in _read(f"{directory}/status").splitlines()
                  if ":" in line)
    return {f"status {key}": fields[key].strip() for key in STATUS if key in fields}


def _stat(directory):
    text = _read(f"{directory}/stat")
    if ")" not in text or text.startswith("("):
        return {}
    words = text[text.rindex(")") + 2:].split()
    facts = {f"stat {name}": words[position - 3] for name, position in STAT.items()}
    # T and Z are states that must come back; R, S and D are chance.
    facts["stat state"] = words[0] if words[0] in "TZ" else "alive"
    return facts


def _maps(directory):
    """Areas with permissions, file and VmFlags. Neighbours that differ in nothing are one area: the
    kernel merges them or does not, by history."""
    areas = []
    flags = {}
    for line in _read(f"{directory}/smaps").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            words = line.split(None, 5)
            start, end = (int(x, 16) for x in words[0].split("-"))
            name = words[5] if len(words) > 5 else ""
            inode = "" if "(deleted)" in name or name.startswith(("/dev/zero", "/SYSV")) else words[4]
            areas.append([start, end, words[1], int(words[2], 16), inode, name])
        elif line.startswith("VmFlags:"):
            flags[areas[-1][0]] = " ".join(sorted(set(line.split()[1:]) - VOLATILE_FLAGS))
    merged = []
    for start, end, access, offset, inode, name in areas:
        name = _stable_name(name)
        key = (access, inode, name, flags.get(start, ""))
        if merged and merged[-1][1] == start and merged[-1][3] == key and (
                not name.startswith("/") or merged[-1][2] + start - merged[-1][0] == offset):
            merged[-1][1] = end
        else:
            merged.append([start, end, offset if name.startswith("/") else 0, key])
    return {f"area {start:x}-{end:x}": " ".join(map(str, (f"{offset:x}", *key)))
            for start, end, offset, key in merged}


def _stable_name(name):
    """Ghost files and link-remaps come back under other, already deleted names."""
    return re.sub(r"^/.* \(deleted\)$", "(deleted file)", name)


def _fds(directory):
    facts = {}
    numbers = {}
    try:
        fds = sorted(map(int, os.listdir(f"{directory}/fd")))
    except OSError as e:
        return {"fds": f"({e.strerror})"}
    for fd in fds:
        target = _link(f"{directory}/fd/{fd}")
        anonymous = re.match(r"(pipe|socket):\[\d+\]$", target)
        if anonymous:
            # The number is new; which descriptors are ends of one pipe is not.
            target = f"{anonymous[1]} #{numbers.setdefault(target, len(numbers))}"
        target = re.sub(r"^/.* \(deleted\)$", "(deleted file)", target)
        info = re.findall(r"^(pos|flags):\s*(\d+)$", _read(f"{directory}/fdinfo/{fd}"), re.M)
        facts[f"fd {fd}"] = f"{target} " + " ".join(f"{k} {v}" for k, v in info)
    return facts


def _posix_timers(directory):
    """The ids and how they notify."""
    text = _read(f"{directory}/timers")
    return {"timers": text if not text.startswith("(") else ""}


def _thread(directory):
    facts = {**_status(directory), **_stat(directory)}
    facts["comm"] = _read(f"{directory}/comm")
    return facts


def _process(pid):
    directory = f"/proc/{pid}"
    facts = {**_status(directory), **_stat(directory)}
    if facts.get("stat state") == "Z":
        return {key: facts[key] for key in ZOMBIE}
    for name in SMALL_FILES:
        facts[name] = _read(f"{directory}/{name}")
    for name in ("cwd", "root", "exe"):
        facts[name] = _link(f"{directory}/{name}").replace(" (deleted)", "")
    facts["auxv"] = _read(f"{directory}/auxv").encode().hex()
    facts.update(_fds(directory))
    facts.update(_maps(directory))
    facts.update(_posix_timers(directory))
    for tid in os.listdir(f"{directory}/task"):
        for key, value in _thread(f"{directory}/task/{tid}").items():
            facts[f"thread {tid} {key}"] = value
    return facts


def snapshot(root):
    """{pid: {fact: value}} of the tree below and with root."""
    return {pid: _process(pid) for pid in [root, *sandbox.descendants(root)]}


def _differences(pid, before, after):
    if "Z" in (before.get("stat state"), after.get("stat state")) and len(before) != len(after):
        yield f"  {pid}: was {before.get('stat state')}, is {after.get('stat state')}"
        return
    for fact in sorted({*before, *after}):
        old, new = before.get(fact, "(absent)"), after.get(fact, "(absent)")
        if old != new:
            yield f"  {pid}: {fact}: was {old!r}, is {new!r}"


def compare(before, after):
    """A line for each difference."""
    if sorted(before) != sorted(after):
        return [f"  the tree is {sorted(after)}, was {sorted(before)}"]
    return [line for pid in before for line in _differences(pid, before[pid], after[pid])]


def await_same(root, before, patience=3.0):
    """The differences that stay. stasis lets go of all tasks at once and returns; on a busy machine each
    needs a moment until it has left the executor."""
    deadline = time.monotonic() + patience
    while True:
        difference = compare(before, snapshot(root))
        if not difference or time.monotonic() > deadline:
            return difference
        time.sleep(0.02)
