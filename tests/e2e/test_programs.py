"""Programs that were not written for this: interpreters, pipelines, compilers."""

import os
import time

import pytest

from stasis import Failure, Victim, bring_back, checkpoint, tree_text

PYTHON = """
import hashlib, sys, threading
directory = sys.argv[1]
counts = [0] * 4
errors = []

def prime_count(limit):
    sieve = bytearray([1]) * limit
    for i in range(2, int(limit ** 0.5) + 1):
        if sieve[i]:
            sieve[i * i::i] = bytes(len(range(i * i, limit, i)))
    return sum(sieve) - 2

def work(i):
    while True:
        if prime_count(20000) != 2262:
            errors.append("primes")
        if hashlib.sha256(b"x" * 100000).hexdigest()[:8] != "d69e6898":
            errors.append("hash")
        counts[i] += 1
        with open(f"{directory}/progress.{i}", "w") as f:
            f.write(f"{counts[i]} {len(errors)}")

threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for t in threads:
    t.start()
open(f"{directory}/ready", "w").close()
for t in threads:
    t.join()
"""

PERL = """
my ($n, $dir) = (0, $ARGV[0]);
my %h; $h{$_} = $_ * $_ for 1 .. 20000;
open my $r, '>', "$dir/ready"; close $r;
while (1) {
    my $bad = 0;
    for (1 .. 20000) { $bad++ if $h{$_} != $_ * $_ }
    $n++;
    open my $f, '>', "$dir/progress.0"; print $f "$n $bad"; close $f;
}
"""

SHELL = """
touch "$1/ready"
seq 1 1000000000 | sed s/7/seven/g | awk -v dir="$1" '
    { if ($0 ~ /7/) bad++ }
    NR % 20000 == 0 { f = dir "/progress.0"; print NR, bad + 0 > f; close(f) }'
"""

SOURCE = "\n".join(f"double f{i}(double x) {{ return x * {i} + f{i - 1}(x / {i}); }}"
                   for i in range(1, 400))

GCC = """
cd "$1"
n=0
touch ready
while :; do
    gcc -O2 -c source.c -o object.o || { echo "$n 1" >progress.0; exit 1; }
    n=$((n + 1))
    echo "$n 0" >progress.0.tmp
    mv progress.0.tmp progress.0
done
"""

PROGRAMS = {
    "python": (["/usr/bin/python3", "-c", PYTHON], 4),
    "perl": (["/usr/bin/perl", "-e", PERL], 1),
    "pipeline": (["/bin/sh", "-c", SHELL, "sh"], 1),
    "gcc": (["/bin/sh", "-c", GCC, "sh"], 1),
}


def progress(directory, i):
    """What the program has written last: its count and its errors."""
    for _ in range(1000):
        try:
            words = (directory / f"progress.{i}").read_text().split()
        except FileNotFoundError:
            words = []
        if len(words) == 2:
            return int(words[0]), int(words[1])
        time.sleep(0.005)
    raise Failure(f"no progress.{i}")


def last_words(directory, parts):
    """May be half a line: the program was stopped anywhere."""
    return [(directory / f"progress.{i}").read_bytes() for i in range(parts)]


def assert_moves(victim, parts, when):
    before = [progress(victim.directory, i)[0] for i in range(parts)]
    deadline = time.monotonic() + 60
    for i in range(parts):
        while progress(victim.directory, i)[0] < before[i] + 2:
            if time.monotonic() > deadline:
                raise Failure(f"{when}: part {i} stands still\n{tree_text(victim.pid)}\n"
                              f"{victim.output()}")
            time.sleep(0.01)
        assert progress(victim.directory, i)[1] == 0, f"{when}: part {i} has computed nonsense"


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(directory, stasis, name):
    argv, parts = PROGRAMS[name]
    where = directory / "program"
    where.mkdir()
    (where / "source.c").write_text("static double f0(double x) { return x; }\n" + SOURCE)
    victim = Victim(where, [*argv, str(where)], {**os.environ, "TMPDIR": str(where)})
    victim.await_ready()
    assert_moves(victim, parts, "before")
    for generation in range(1, 4):
        checkpoint(victim, stasis)
        frozen = last_words(where, parts)
        time.sleep(0.05)
        assert frozen == last_words(where, parts), "it runs on after its end"
        bring_back(victim, stasis, None)
        assert_moves(victim, parts, f"generation {generation}")
        stasis.clear()
    victim.kill()
