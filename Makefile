# Thin front of meson: what people type. See README.md.
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all clean install format test check demo bench packages
all: $(BUILD)/build.ninja
	ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix=$(PREFIX) >/dev/null

# Below $(DESTDIR)$(PREFIX): the executable and its symlink criu, the manual pages, the completion.
install: all
	meson configure $(BUILD) --prefix=$(PREFIX)
	ninja -C $(BUILD) --quiet
	DESTDIR=$(abspath $(DESTDIR)) meson install -C $(BUILD) --no-rebuild --quiet

clean:
	rm -rf $(BUILD) build-test build-gcc build-clang build-asan

format:
	clang-format -i $$(git ls-files 'src/*.[ch]' 'lib/*.[ch]' 'tests/*.[ch]')

packages:
	packaging/install-packages.sh

# Every test; the last line counts them. `make check` adds what else must hold (format, layers, both
# compilers, sanitizers).
test:
	.ci/run test

check:
	.ci/run

demo:
	demo/demo.sh

# How fast it is: a report. bench/bench.py has the settings, docs/performance.md the figures.
bench: all
	ninja -C $(BUILD) --quiet bench-victims
	bench/bench.py $(BUILD)
