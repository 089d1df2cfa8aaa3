"""Four threads that compute and say how far they are. The argument is the file for their numbers."""

import os
import sys
import threading
import time

found = [0] * 4
cache = {}


def is_prime(n):
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def search(i):
    n = i
    while True:
        if is_prime(n):
            found[i] += 1
            cache[n] = f"prime number {found[i]} of thread {i}"
        n += len(found)


def report(path):
    begun = time.monotonic()
    while True:
        # Whoever reads finds a whole line at any time.
        with open(path + ".new", "w") as f:
            f.write(f"{sum(found)} primes found, {len(cache)} remembered,"
                    f" running for {time.monotonic() - begun:.1f} s\n")
        os.replace(path + ".new", path)
        time.sleep(0.1)


for number in range(4):
    threading.Thread(target=search, args=(number,), daemon=True).start()
report(sys.argv[1])
