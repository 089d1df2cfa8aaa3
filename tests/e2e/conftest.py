"""Every test runs in a sandbox of its own (sandbox.py) and gets a directory and a stasis."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import sandbox  # noqa: E402
from stasis import STASIS, Stasis, Victim  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--host", action="store_true",
                     help="run all tests in the machine's own pid namespace")
    parser.addoption("--keep", action="store_true", help="keep the directories of the tests")
    parser.addoption("--generations", type=int, default=3, help="how often to dump and restore")


def _keep_descriptors_to_ourselves():
    """What our caller has left open (a pipe of make, a lock) is no part of any victim."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.set_inheritable(int(name), False)
            except OSError:
                pass


def pytest_configure(config):
    _keep_descriptors_to_ourselves()
    config.addinivalue_line("markers", "host: runs in the machine's pid namespace, not in its own")
    config.addinivalue_line("markers", "timeout(seconds): the longest the test may take")


HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")
_huge_pages_before = None


def _is_worker(config):
    return hasattr(config, "workerinput")


def pytest_sessionstart(session):
    """Huge pages for the victim that wants some; it is skipped where they cannot be had."""
    global _huge_pages_before
    if not _is_worker(session.config) and int(HUGE_PAGES.read_text()) < 16:
        _huge_pages_before = HUGE_PAGES.read_text()
        try:
            HUGE_PAGES.write_text("16")
        except OSError:
            pass


def pytest_sessionfinish(session):
    if _huge_pages_before is not None:
        HUGE_PAGES.write_text(_huge_pages_before)


def _in_sandbox(item):
    from _pytest.runner import runtestprotocol

    def run():
        reports = runtestprotocol(item, nextitem=None, log=False)
        return [item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
                for report in reports]

    marker = item.get_closest_marker("timeout")
    host = item.config.getoption("--host") or item.get_closest_marker("host") is not None
    data = sandbox.run(run, marker.args[0] if marker else 180, host)
    return [item.config.hook.pytest_report_from_serializable(config=item.config, data=d)
            for d in data]


def _failed_report(item, text):
    from _pytest.reports import TestReport

    return TestReport(item.nodeid, item.location, {}, "failed", text, "call")


def _make_directory():
    """Empty, open to every user (victims of other users must reach it). Made and removed outside of
    the sandbox, so that a test that is killed leaves nothing."""
    path = Path(tempfile.mkdtemp(prefix="stasis-test-"))
    path.chmod(0o777)
    return path


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    item.world_directory = _make_directory()
    try:
        reports = _in_sandbox(item)
    except RuntimeError as e:
        reports = [_failed_report(item, str(e))]
    finally:
        if not item.config.getoption("--keep"):
            shutil.rmtree(item.world_directory, ignore_errors=True)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.fixture
def directory(request):
    return request.node.world_directory


@pytest.fixture
def stasis(directory):
    if not os.access(STASIS, os.X_OK):
        pytest.fail(f"{STASIS} is not built: make test builds it")
    return Stasis(directory / "images")


@pytest.fixture
def start(directory):
    """Starts victims by name; they are stopped at the end."""
    started = []

    def start(name, *arguments, **how):
        victim = Victim.of(directory / f"victim-{len(started)}", name, *arguments, **how)
        started.append(victim)
        return victim

    yield start
    for victim in started:
        victim.kill()
