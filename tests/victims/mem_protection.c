/* Areas that cannot be read, or only be read, or run, all with content. */
#include "victim.h"

enum { SIZE = 4 * PAGE };

static const int protections[] = {PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC,
	PROT_READ | PROT_EXEC, PROT_WRITE | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC};

/* mov $42, %eax; ret */
static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};

static char *areas[array_size(protections)];

static void set_up(size_t i)
{
	/* An unmapped page before and after, so that nothing merges. */
	char *area = must_ptr(mmap(
		NULL, SIZE + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	must(munmap(area, PAGE));
	must(munmap(area + SIZE + PAGE, PAGE));
	areas[i] = area + PAGE;
	fill_pattern(areas[i], SIZE, i);
	memcpy(areas[i], code, sizeof(code));
	must(mprotect(areas[i], SIZE, protections[i]));
}

static void verify(size_t i)
{
	char expected[8] = "---p", *text = smaps_of(areas[i]);
	const char *access = text ? strchr(text, ' ') : NULL;

	expected[0] = protections[i] & PROT_READ ? 'r' : '-';
	expected[1] = protections[i] & PROT_WRITE ? 'w' : '-';
	expected[2] = protections[i] & PROT_EXEC ? 'x' : '-';
	check(access && !strncmp(access + 1, expected, 4), "area %zu is %.4s, was %s", i,
		access ? access + 1 : "gone", expected);
	free(text);
	if (protections[i] == PROT_EXEC || protections[i] == (PROT_READ | PROT_EXEC))
		check_int(((int (*)(void))areas[i])(), 42, "the function in area %zu", i);
	must(mprotect(areas[i], SIZE, PROT_READ));
	check_bytes(areas[i], code, sizeof(code), "the code in area %zu", i);
	for (size_t page = 1; page < 4; page++) {
		static char expected_page[SIZE];

		fill_pattern(expected_page, SIZE, i);
		check_bytes(areas[i] + page * PAGE, expected_page + page * PAGE, PAGE,
			"page %zu of area %zu", page, i);
	}
	must(mprotect(areas[i], SIZE, protections[i]));
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	for (size_t i = 0; i < array_size(protections); i++)
		set_up(i);
	victim_ready();
	if (victim_spoiled())
		must(mprotect(areas[0], SIZE, PROT_READ));
	while (victim_next())
		for (size_t i = 0; i < array_size(protections); i++)
			verify(i);
	return 0;
}
