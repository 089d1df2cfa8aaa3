"""A restore on a kernel with another vdso, as it looks to the image: jumps from the old one."""

import struct

from stasis import checkpoint


def move_function(pages, name, distance):
    """Lets the vdso in the image say that a function is elsewhere, as that of another kernel would."""
    data = bytearray(pages.read_bytes())
    at = data.find(b"\x7fELF\x02\x01\x01")
    while at >= 0 and data.find(b"linux-vdso.so.1", at, at + 8192) < 0:
        at = data.find(b"\x7fELF\x02\x01\x01", at + 1)
    assert at >= 0, "no vdso in the image"
    offset, = struct.unpack_from("<Q", data, at + 40)
    count, = struct.unpack_from("<H", data, at + 60)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, at + offset + 64 * i) for i in range(count)]
    symbols = next(section for section in sections if section[1] == 11)
    strings = sections[symbols[6]][4]
    moved = 0
    for symbol in range(at + symbols[4], at + symbols[4] + symbols[5], 24):
        text, = struct.unpack_from("<I", data, symbol)
        if data[at + strings + text:].startswith(name + b"\0"):
            value, = struct.unpack_from("<Q", data, symbol + 8)
            struct.pack_into("<Q", data, symbol + 8, value + distance)
            moved += 1
    assert moved == 1, f"{moved} functions of that name"
    pages.write_bytes(data)


def test_another_kernels_vdso(start, stasis):
    victim = start("counter")
    for generation in range(2):
        checkpoint(victim, stasis)
        if generation == 0:
            for pages in stasis.images.glob("pages-*.img"):
                if b"linux-vdso.so.1" in pages.read_bytes():
                    move_function(pages, b"__vdso_clock_getres", 16)
            # What was changed on purpose is not to be taken for damage.
            (stasis.images / "stasis-manifest.json").unlink()
        stasis.restore("-d").expect_success()
        victim.assert_intact(f"generation {generation + 1}")
        with open(f"/proc/{victim.pid}/maps") as f:
            vdso = [line for line in f if line.endswith("[vdso]\n")]
        assert len(vdso) == 1 and vdso[0].startswith("204"), vdso
