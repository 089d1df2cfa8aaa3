"""One test, one world: a process that is PID 1 of namespaces of its own.

Why: a restore needs the pids of the dumped tree to be free, at once. On a machine they are not: whoever
adopts the orphans may reap them late (PID 1 of our virtual machines looks every two seconds), and a test
next door may take the number. In a pid namespace of its own a test has all pids to itself, adopts and
reaps all orphans, and whatever it leaves behind is killed by the kernel when it ends, also when it
hangs; the same for System V memory. stasis runs inside too, so for it these namespaces are the host's.

Tests marked `host` run in the pids of the machine instead, under a child subreaper, to see that
nothing depends on the sandbox (pytest --host runs all of them so).
"""

import ctypes
import os
import pickle
import signal
import sys
import time
import traceback

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def _mount(source, target, kind, flags):
    _check(libc.mount(source, target, kind, ctypes.c_ulong(flags), None), f"mount {target!r}")


def become_subreaper():
    _check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")


def descendants(pid):
    """All tasks below pid that are still there."""
    found = []
    for task in _listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children") as f:
                children = [int(word) for word in f.read().split()]
        except OSError:
            continue
        for child in children:
            found.append(child)
            found += descendants(child)
    return found


def _listdir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def reap():
    """Takes the dead children that nobody waits for. Not for use while a subprocess runs."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def _kill_descendants():
    for _ in range(100):
        tasks = descendants(os.getpid())
        if not tasks:
            return
        for pid in tasks:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        time.sleep(0.01)


def _send(pipe, function):
    try:
        result = (True, function())
    except BaseException:
        result = (False, traceback.format_exc())
    with os.fdopen(pipe, "wb") as f:
        pickle.dump(result, f)


def _world(pipe, function):
    """In the forked child: makes the namespaces and runs function as their PID 1."""
    _check(libc.unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC), "unshare")
    init = os.fork()
    if init:
        os.close(pipe)
        os.waitpid(init, 0)
        return
    _mount(None, b"/", None, MS_REC | MS_PRIVATE)
    _mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    os.setsid()  # a session that exists in here
    _send(pipe, function)


def _host(pipe, function):
    become_subreaper()
    try:
        _send(pipe, function)
    finally:
        _kill_descendants()


def run(function, timeout, host=False):
    """Runs function in a process and a world of its own and returns what it returns (picklable).

    Raises RuntimeError when it cannot be run, dies or takes too long. Also a `host` world that is
    killed for its time leaves nothing: its descendants are killed first.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            (_host if host else _world)(writer, function)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    return _collect(child, reader, timeout)


def _collect(child, reader, timeout):
    import select

    data = b""
    deadline = time.monotonic() + timeout
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                break
            piece = pipe.read(1 << 16)
            if not piece:
                break
            data += piece
    if not ready:
        for pid in descendants(child) + [child]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    os.waitpid(child, 0)
    if not ready:
        raise RuntimeError(f"killed after {timeout} s")
    if not data:
        raise RuntimeError("the test's process died")
    good, result = pickle.loads(data)
    if not good:
        raise RuntimeError(result)
    return result
