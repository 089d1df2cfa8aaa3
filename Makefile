# Thin front of meson: what people type. See README.md.
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all clean install format
all: $(BUILD)/build.ninja
	ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix=$(PREFIX) >/dev/null

clean:
	rm -rf $(BUILD)

format:
	clang-format -i $$(git ls-files 'src/*.[ch]' 'lib/*.[ch]' 'tests/*.[ch]')
