#include "kernel/smaps.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "kernel/procfs.h"

/* The kernel fills one seq_file buffer a read, whatever we ask for, unless a single record is
 * longer; a large buffer only saves moving incomplete lines. */
#define SMAPS_BUFFER ((size_t)256 * 1024)

static const struct {
	char name[3];
	uint32_t flag;
} flag_names[] = {
	{"mw", SMAPS_MAY_WRITE},
	{"gd", SMAPS_GROWS_DOWN},
	{"pf", SMAPS_PFN},
	{"io", SMAPS_IO},
	{"lo", SMAPS_LOCKED},
	{"lf", SMAPS_LOCK_ON_FAULT},
	{"sr", SMAPS_SEQUENTIAL},
	{"rr", SMAPS_RANDOM},
	{"dc", SMAPS_DONT_FORK},
	{"nr", SMAPS_NO_RESERVE},
	{"ht", SMAPS_HUGETLB},
	{"sf", SMAPS_SYNC},
	{"wf", SMAPS_WIPE_ON_FORK},
	{"dd", SMAPS_DONT_DUMP},
	{"mm", SMAPS_MIXED},
	{"hg", SMAPS_HUGE},
	{"nh", SMAPS_NO_HUGE},
	{"mg", SMAPS_MERGEABLE},
	{"um", SMAPS_UFFD_MISSING},
	{"uw", SMAPS_UFFD_WP},
	{"ui", SMAPS_UFFD_MINOR},
	{"ss", SMAPS_SHADOW_STACK},
	{"sl", SMAPS_SEALED},
	{"dp", SMAPS_DROPPABLE},
	{"gu", SMAPS_GUARD},
	{"ac", SMAPS_ACCOUNT},
	{"sh", SMAPS_SHARED},
};

/* Hexadecimal and decimal digits up to what is not one. No digit at all, or more than 64 bits, is a
 * failure: *p becomes NULL, and stays it. */
static uint64_t take_number(const char **p, const char *end, unsigned base)
{
	uint64_t value = 0;
	const char *start = *p;

	if (!start)
		return 0;
	for (; *p < end; (*p)++) {
		char c = **p;
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			break;
		if (value > (UINT64_MAX - digit) / base) {
			*p = NULL;
			return 0;
		}
		value = value * base + digit;
	}
	if (*p == start)
		*p = NULL;
	return value;
}

static void take_char(const char **p, const char *end, char c)
{
	if (*p && *p < end && **p == c)
		(*p)++;
	else
		*p = NULL;
}

static const char *copy_name(struct smaps_parser *parser, const char *name, size_t length)
{
	char *copy;

	if (!length)
		return "";
	/* Neighbours mostly map the same file. */
	if (parser->count) {
		const char *last = parser->areas[parser->count - 1].name;

		if (strncmp(last, name, length) == 0 && !last[length])
			return last;
	}
	copy = arena_alloc(parser->arena, length + 1);
	memcpy(copy, name, length);
	return copy;
}

/* "7f00-7f01 rw-p 00000000 fe:00 332383       /a path" */
static int parse_header(struct smaps_parser *parser, const char *p, const char *end)
{
	struct smaps_area area = {.page_size = 4};

	area.start = take_number(&p, end, 16);
	take_char(&p, end, '-');
	area.end = take_number(&p, end, 16);
	take_char(&p, end, ' ');
	if (!p || end - p < 5 || p[4] != ' ' || (p[3] != 'p' && p[3] != 's'))
		return -EPROTO;
	area.prot = (p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0) |
		    (p[2] == 'x' ? PROT_EXEC : 0);
	area.shared = p[3] == 's';
	p += 5;
	area.offset = take_number(&p, end, 16);
	take_char(&p, end, ' ');
	area.major = (uint32_t)take_number(&p, end, 16);
	take_char(&p, end, ':');
	area.minor = (uint32_t)take_number(&p, end, 16);
	take_char(&p, end, ' ');
	area.inode = take_number(&p, end, 10);
	if (!p || area.start >= area.end || area.start % PAGE_SIZE || area.end % PAGE_SIZE)
		return -EPROTO;
	if (parser->count && parser->areas[parser->count - 1].end > area.start)
		return -EPROTO;
	while (p < end && *p == ' ')
		p++;
	area.name = copy_name(parser, p, (size_t)(end - p));
	parser->areas = arena_grow(
		parser->arena, parser->areas, &parser->capacity, parser->count + 1, sizeof(area));
	parser->areas[parser->count++] = area;
	return 0;
}

static void parse_flags(struct smaps_area *area, const char *p, const char *end)
{
	while (p + 2 <= end) {
		for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++) {
			if (flag_names[i].name[0] == p[0] && flag_names[i].name[1] == p[1]) {
				area->flags |= flag_names[i].flag;
				break;
			}
		}
		p += 2;
		while (p < end && *p == ' ')
			p++;
	}
}

static bool take_key(const char **p, const char *end, const char *key, size_t length)
{
	if ((size_t)(end - *p) < length || memcmp(*p, key, length) != 0)
		return false;
	*p += length;
	while (*p < end && (**p == ' ' || **p == '\t'))
		(*p)++;
	return true;
}
#define KEY(text) take_key(&p, end, text, sizeof(text) - 1)

/* Lines that are not known are the business of other readers, or of later kernels. */
static int parse_field(struct smaps_area *area, const char *p, const char *end)
{
	switch (*p) {
	case 'V':
		if (KEY("VmFlags:"))
			parse_flags(area, p, end);
		return 0;
	case 'R':
		if (KEY("Rss:"))
			area->resident = take_number(&p, end, 10);
		break;
	case 'A':
		if (KEY("Anonymous:"))
			area->anonymous = take_number(&p, end, 10);
		break;
	case 'S':
		if (KEY("Swap:"))
			area->swapped = take_number(&p, end, 10);
		/* Hugetlb pages are in no other total. */
		else if (KEY("Shared_Hugetlb:"))
			area->resident += take_number(&p, end, 10);
		break;
	case 'K':
		if (KEY("KernelPageSize:"))
			area->page_size = take_number(&p, end, 10);
		break;
	case 'P':
		if (KEY("ProtectionKey:"))
			area->protection_key = (uint32_t)take_number(&p, end, 10);
		else if (KEY("Private_Hugetlb:"))
			area->anonymous += take_number(&p, end, 10);
		break;
	}
	return p ? 0 : -EPROTO;
}
#undef KEY

int smaps_parse(struct smaps_parser *parser, const char *text, size_t size, size_t *ret_used)
{
	const char *p = text, *end = text + size, *newline;

	while (p < end && (newline = memchr(p, '\n', (size_t)(end - p)))) {
		int rc = 0;

		if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f'))
			rc = parse_header(parser, p, newline);
		else if (*p >= 'A' && *p <= 'Z' && parser->count)
			rc = parse_field(&parser->areas[parser->count - 1], p, newline);
		else
			rc = -EPROTO;
		if (rc < 0)
			return rc;
		p = newline + 1;
	}
	*ret_used = (size_t)(p - text);
	return 0;
}

int smaps_read(pid_t pid, struct arena *arena, struct smaps_area **ret_areas, size_t *ret_count,
	struct error *err)
{
	_cleanup_(close_fd) int fd = procfs_open(pid, "smaps", O_RDONLY, err);
	_cleanup_(free_ptr) char *buffer = NULL;
	struct smaps_parser parser = {.arena = arena};
	size_t held = 0, used;

	if (fd < 0)
		return fd;
	buffer = xcalloc(1, SMAPS_BUFFER);
	for (;;) {
		ssize_t n = read(fd, buffer + held, SMAPS_BUFFER - held);
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = error_set(err, errno, "reading /proc/%d/smaps", pid);
			error_about_task(err, pid);
			return rc;
		}
		if (n == 0)
			break;
		held += (size_t)n;
		rc = smaps_parse(&parser, buffer, held, &used);
		/* Paths are at most one page long, so that a line always fits. */
		if (rc < 0 || (used == 0 && held == SMAPS_BUFFER)) {
			rc = error_set(err, EPROTO, "understanding /proc/%d/smaps", pid);
			error_about_task(err, pid);
			return rc;
		}
		memmove(buffer, buffer + used, held - used);
		held -= used;
	}
	*ret_areas = parser.areas;
	*ret_count = parser.count;
	return 0;
}
