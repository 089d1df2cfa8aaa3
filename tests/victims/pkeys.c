/* Memory protection keys: the key of an area, and the rights register (PKRU) of each thread. */
#include "victim.h"

static int key;

static void rights(void *argument)
{
	int mine = (int)(intptr_t)argument;

	must(pkey_set(key, (unsigned)mine));
	victim_ready();
	if (victim_spoiled())
		pkey_set(key, 0);
	while (victim_next())
		check_int(pkey_get(key), mine, "rights for key %d", key);
}

int main(int argc, char **argv)
{
	char expected[16], *area;

	victim_begin(argc, argv);
	key = pkey_alloc(0, 0);
	if (key < 0)
		victim_skip("no protection keys: %s", strerror(errno));
	area = must_ptr(
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	fill_pattern(area, 4 * PAGE, 1);
	must(pkey_mprotect(area, 4 * PAGE, PROT_READ | PROT_WRITE, key));
	snprintf(expected, sizeof(expected), "%d", key);
	start_thread("no-write", rights, (void *)PKEY_DISABLE_WRITE);
	start_thread("no-access", rights, (void *)PKEY_DISABLE_ACCESS);
	start_thread("all", rights, (void *)0);
	victim_ready();
	while (victim_next()) {
		char *text = smaps_of(area);

		check_str(
			text ? field_of(text, "ProtectionKey") : NULL, expected, "key of the area");
		free(text);
		check_pattern(area, 4 * PAGE, 1, "area with a key");
		check_part("no-write");
		check_part("no-access");
		if (!victim_spoiled())
			check_part("all");
	}
	return 0;
}
