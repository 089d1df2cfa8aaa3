/* stasis: reads the command line and hands over to the command. */
#include <fcntl.h>
#include <signal.h>

#include "base/log.h"
#include "cli/help.h"
#include "cli/parse.h"

/* The version of CRIU whose command line, images and requests are answered. */
#define CRIU_VERSION "4.2"

static int print_version(const struct invocation *invocation)
{
	/* Callers of criu read the first line (podman, runc, LXC). */
	if (invocation->as_criu)
		printf("Version: " CRIU_VERSION "\nstasis " STASIS_VERSION "\n");
	else
		printf("stasis " STASIS_VERSION "\nanswers as CRIU " CRIU_VERSION "\n");
	return 0;
}

static int print_help(const struct invocation *invocation)
{
	help_print(stdout, invocation->program, invocation->command);
	return 0;
}

static void close_asked(const struct job *job)
{
	for (size_t i = 0; i < job->close_fds.count; i++)
		close(atoi(job->close_fds.items[i]));
}

/* What we open must not become standard input, output or error of anything. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int run(const struct invocation *invocation, struct report *report)
{
	int rc;

	close_asked(&invocation->job);
	fill_standard_fds();
	rc = report_open_log(&invocation->job, &report->err);
	if (rc < 0)
		return rc;
	/* A reader that is gone is an error of write(2), not our death. */
	signal(SIGPIPE, SIG_IGN);
	log_info("stasis " STASIS_VERSION ": %s", invocation->command->name);
	return invocation->command->run(invocation, report);
}

int main(int argc, char **argv)
{
	struct report report = REPORT_INIT;
	struct invocation invocation;
	char *no_name[] = {"stasis", NULL};
	int rc, code;

	if (argc < 1) {
		argc = 1;
		argv = no_name;
	}
	rc = invocation_parse(&invocation, argc, argv, &report.err);
	if (rc == 0 && invocation.wants_version)
		code = print_version(&invocation);
	else if (rc == 0 && invocation.wants_help)
		code = print_help(&invocation);
	else {
		if (rc == 0)
			rc = run(&invocation, &report);
		code = report_finish(&report, &invocation.job, invocation.as_criu, rc);
	}
	if (fflush(stdout) == EOF && code == 0)
		code = 1;
	report_deinit(&report);
	invocation_deinit(&invocation);
	return code;
}
