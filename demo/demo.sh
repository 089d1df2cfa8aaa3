#!/bin/bash
# make demo: a multi-threaded program and a compilation of several processes are checkpointed while they work,
# are gone, come back, and go on. Ends with a table. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

# What our caller has left open is no part of the programs we start.
for fd in /proc/$$/fd/*; do
	fd=${fd##*/}
	[ "$fd" -le 2 ] || [ "$fd" = 255 ] || eval "exec $fd>&-"
done

[ "$(id -u)" = 0 ] || { echo "make demo needs to be root: it restores processes under their old pids" >&2; exit 1; }

echo "== What is needed is installed, and stasis built"
packaging/install-packages.sh build
dpkg-query -W -f '' python3 procps util-linux >/dev/null 2>&1 || packaging/install-packages.sh test
make --no-print-directory
stasis=$PWD/build/stasis
# What this shell was started with beyond the three streams is not the programs' business.
for number in /proc/$$/fd/*; do
	number=${number##*/}
	[ "$number" -le 2 ] || [ "$number" = 255 ] || eval "exec $number>&-"
done
work=$(mktemp -d /tmp/stasis-demo-XXXXXX)
roots=()
rows=()

# All tasks below and with a pid.
tree() {
	local children
	children=$(cat "/proc/$1/task"/*/children 2>/dev/null) || true
	echo "$1"
	for child in $children; do tree "$child"; done
}

# Ends what we started, by its pids, and nothing else.
clean_up() {
	for root in "${roots[@]}"; do
		[ -e "/proc/$root" ] && kill -KILL $(tree "$root") 2>/dev/null
	done
	rm -rf "$work"
}
trap clean_up EXIT

say() { printf '\n== %s\n' "$*"; }
show() { "$@" | sed 's/^/   /'; }

# A pid can be used again when its zombie has been reaped. Ours we reap, the others PID 1 does, sooner or later.
await_gone() {
	wait "$1" 2>/dev/null || true
	for pid in "$@"; do
		for _ in {1..1000}; do
			[ -e "/proc/$pid" ] || break
			sleep 0.01
		done
	done
}

# Until the command succeeds, a minute at the most: how fast the machine is does not matter.
await() {
	for _ in {1..600}; do
		"$@" && return
		sleep 0.1
	done
	echo "waited in vain: $*" >&2
	exit 1
}
differs() { [ "$1" != "$(cat "$2")" ]; }

processes() { ps -o pid,ppid,nlwp,stat,args --forest -p "$(tree "$1" | paste -sd,)" | cut -c1-100; }

fact() { /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["stats"][sys.argv[2]])' "$@"; }

# checkpoint NAME ROOT PROGRESS-FILE
demonstrate() {
	local name=$1 root=$2 progress=$3 images=$work/images-$1 pids before begin end
	roots+=("$root")
	disown "$root" # bash reaps it, but says nothing of its death
	await test -s "$progress"
	sleep 1
	say "$name: at work"
	show processes "$root"
	show cat "$progress"
	mkdir "$images"
	pids=$(tree "$root")

	say "stasis dump -t $root -D $images"
	"$stasis" dump -t "$root" -D "$images" -o dump.log -v4 --json >"$work/$name.json" ||
		{ cat "$work/$name.json" "$images/dump.log"; exit 1; }
	before=$(cat "$progress")
	await_gone $pids
	for pid in $pids; do
		[ ! -e "/proc/$pid" ] || { echo "$pid is still there" >&2; exit 1; }
	done
	echo "   gone: no process $(echo $pids), and the last word stays"
	sleep 0.5
	show cat "$progress"
	[ "$before" = "$(cat "$progress")" ]

	say "stasis restore -D $images -d"
	begin=$(date +%s%N)
	"$stasis" restore -D "$images" -d -o restore.log -v4 || { cat "$images/restore.log"; exit 1; }
	end=$(date +%s%N)
	show processes "$root"
	await differs "$before" "$progress"
	show cat "$progress"
	echo "   it goes on: \"$before\" was the word before"
	rows+=("$(printf '%-12s %9d %13d %13.1f %16.1f' "$name" "$(fact "$work/$name.json" pages_written)" \
		"$(fact "$work/$name.json" bytes_written)" \
		"$(($(fact "$work/$name.json" frozen_us) / 100))e-1" "$(((end - begin) / 100000))e-1")")
	kill -KILL $(tree "$root")
}

setsid /usr/bin/python3 demo/counting.py "$work/python.txt" </dev/null >"$work/python.out" 2>&1 &
demonstrate python $! "$work/python.txt"

for ((i = 1; i < 800; i++)); do echo "double f$i(double x) { return x * $i + (x > $i ? f$((i - 1))(x / $i) : 1); }"; done |
	cat <(echo 'static double f0(double x) { return x; }') - >"$work/big.c"
setsid sh -c 'cd "$0" && n=0 && while gcc -pipe -O2 -c big.c -o big.o; do
	n=$((n + 1)); echo "$n compilations done" >gcc.txt; done' "$work" </dev/null >"$work/gcc.out" 2>&1 &
demonstrate gcc $! "$work/gcc.txt"

say "In figures"
printf '   %-12s %9s %13s %13s %16s\n' '' pages bytes 'frozen, ms' 'to restore, ms'
printf '   %s\n' "${rows[@]}"
