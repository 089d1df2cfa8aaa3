/* The GNU build id of an ELF file: what says that two files of one size are the same program. */
#include <elf.h>

#include "base/io.h"
#include "kinds/file/state.h"

#define NOTES_MAX    65536
#define SEGMENTS_MAX 256

struct segment {
	uint32_t type;
	uint64_t offset, size;
};

/* Looks through a segment of notes; the file is as hostile as an image. */
static size_t find_note(const uint8_t *notes, size_t size, uint32_t words[BUILD_ID_WORDS])
{
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr header;
		size_t name_size, content_size;

		memcpy(&header, notes + at, sizeof(header));
		at += sizeof(header);
		name_size = ((size_t)header.n_namesz + 3) & ~(size_t)3;
		content_size = ((size_t)header.n_descsz + 3) & ~(size_t)3;
		if (name_size > size - at || content_size > size - at - name_size)
			return 0;
		if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
			memcmp(notes + at, "GNU", 4) == 0) {
			size_t bytes = MIN(content_size, BUILD_ID_WORDS * sizeof(uint32_t));

			memcpy(words, notes + at + name_size, bytes);
			return bytes / sizeof(uint32_t);
		}
		at += name_size + content_size;
	}
	return 0;
}

static size_t read_segments(int fd, struct segment segments[SEGMENTS_MAX])
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf64_Ehdr wide;
		Elf32_Ehdr narrow;
	} header;
	size_t count, entry_size;
	uint64_t table;
	bool wide;

	if (pread_full(fd, &header, sizeof(header), 0) < (ssize_t)sizeof(header.narrow) ||
		memcmp(header.ident, ELFMAG, SELFMAG) != 0)
		return 0;
	wide = header.ident[EI_CLASS] == ELFCLASS64;
	table = wide ? header.wide.e_phoff : header.narrow.e_phoff;
	count = wide ? header.wide.e_phnum : header.narrow.e_phnum;
	entry_size = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	count = MIN(count, SEGMENTS_MAX);
	for (size_t i = 0; i < count; i++) {
		union {
			Elf64_Phdr wide;
			Elf32_Phdr narrow;
		} segment;

		if (pread_full(fd, &segment, entry_size, (off_t)(table + i * entry_size)) <
			(ssize_t)entry_size)
			return i;
		segments[i] = wide ? (struct segment){segment.wide.p_type, segment.wide.p_offset,
					     segment.wide.p_filesz}
				   : (struct segment){segment.narrow.p_type,
					     segment.narrow.p_offset, segment.narrow.p_filesz};
	}
	return count;
}

size_t elf_build_id(int fd, uint32_t words[BUILD_ID_WORDS])
{
	struct segment segments[SEGMENTS_MAX];
	size_t count = read_segments(fd, segments);

	for (size_t i = 0; i < count; i++) {
		_cleanup_(free_ptr) uint8_t *notes = NULL;
		ssize_t size;
		size_t found;

		if (segments[i].type != PT_NOTE || !segments[i].size)
			continue;
		size = (ssize_t)MIN(segments[i].size, NOTES_MAX);
		notes = xcalloc(1, (size_t)size);
		size = pread_full(fd, notes, (size_t)size, (off_t)segments[i].offset);
		found = size > 0 ? find_note(notes, (size_t)size, words) : 0;
		if (found)
			return found;
	}
	return 0;
}
