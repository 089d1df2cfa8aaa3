/* The answering half: one batch for each thread, made of what every kind wants to know. */
#include "dump/internal.h"

#include "memory/memory.h"
#include "puppet/intrusion.h"

static size_t kind_count(void)
{
	size_t count = 0;

	while (task_kinds[count])
		count++;
	return count;
}

/* Only the first visit to an address space asks for it. */
static bool asks_memory(const struct looked_task *looked, size_t thread)
{
	return looked->owns_space && thread == 0;
}

static int ask_thread(struct dump *dump, struct looked_task *looked, size_t index, void **cookies,
	struct error *err)
{
	struct looked_thread *thread = &looked->threads[index];
	struct batch *batch = batch_create(&dump->arena);
	void *memory_cookie = NULL;
	size_t k;
	int rc = 0;

	for (k = 0; rc == 0 && task_kinds[k]; k++)
		if (task_kinds[k]->ask)
			rc = task_kinds[k]->ask(
				&dump->context, &thread->source, batch, &cookies[k], err);
	if (rc == 0 && asks_memory(looked, index))
		rc = memory_ask(&dump->context, looked->task, batch, &memory_cookie, err);
	if (rc == 0)
		rc = intrusion_run(looked->frozen, thread->frozen, batch, err);
	for (k = 0; rc == 0 && task_kinds[k]; k++)
		if (task_kinds[k]->answer)
			rc = task_kinds[k]->answer(
				&dump->context, &thread->source, batch, cookies[k], err);
	if (rc == 0 && asks_memory(looked, index))
		rc = memory_answer(&dump->context, looked->task, batch, memory_cookie, err);
	return rc;
}

static int ask_task(struct dump *dump, struct looked_task *looked, struct error *err)
{
	void **cookies = arena_array(&dump->arena, void *, kind_count());
	int rc;

	/* PTRACE_O_SUSPEND_SECCOMP: the filter must not judge what we make the thread do. */
	for (size_t t = 0; t < looked->thread_count; t++) {
		struct looked_thread *thread = &looked->threads[t];

		if (!thread->status.seccomp)
			continue;
		rc = tracee_set_options(&thread->frozen->tracee,
			PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP, err);
		if (rc < 0) {
			error_hint(err,
				"a task under seccomp needs CAP_SYS_ADMIN, and stasis itself "
				"must not be under seccomp");
			return rc;
		}
		thread->frozen->suspend_seccomp = true;
	}
	rc = intrusion_begin(&dump->arena, looked->frozen, err);
	for (size_t t = 0; rc == 0 && t < looked->thread_count; t++) {
		memset(cookies, 0, kind_count() * sizeof(*cookies));
		rc = ask_thread(dump, looked, t, cookies, err);
	}
	return rc < 0 ? error_wrap(err, rc, "asking task %d", looked->frozen->pid) : 0;
}

int dump_ask(struct dump *dump, struct error *err)
{
	for (size_t i = 0; i < dump->task_count; i++) {
		int rc;

		if (dump->tasks[i].frozen->zombie)
			continue;
		rc = ask_task(dump, &dump->tasks[i], err);
		/* One intrusion at a time: tasks may share an address space, our robust list is finite, and
		 * the arena must be gone when pages are looked for. */
		intrusion_end(dump->tasks[i].frozen);
		if (rc < 0)
			return rc;
	}
	return 0;
}
