/* The option table, the command line and the configuration files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "cli/config.h"
#include "cli/parse.h"
#include "rpc.pb-c.h"

#define MAX_ARGS 12

/* A command line taken apart; `words` ends with NULL. */
struct parsed {
	struct invocation invocation;
	struct error err;
	int rc;
};

static struct parsed parse(const char *const *words)
{
	struct parsed parsed = {.err = ERROR_INIT};
	char *argv[MAX_ARGS + 1] = {};
	int argc = 0;

	while (words[argc]) {
		argv[argc] = (char *)words[argc];
		assert_true(++argc < MAX_ARGS);
	}
	parsed.rc = invocation_parse(&parsed.invocation, argc, argv, &parsed.err);
	return parsed;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void done(struct parsed *parsed)
{
	invocation_deinit(&parsed->invocation);
}

/* A value that the row takes. */
static const char *sample(const struct option_row *row)
{
	static const char *const customs[][2] = {
		{"verbosity", "3"},
		{"cpu-cap", "cpu,^fpu"},
		{"manage-cgroups", "strict"},
		{"ext-unix-sk", "4711"},
		{"ext-mount-map", "key:value"},
		{"empty-ns", "net"},
		{"inherit-fd", "fd[3]:pipe[1]"},
		{"close", "900"},
	};

	if (row->argument == ARGUMENT_NONE)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(customs); i++)
		if (streq(customs[i][0], row->name))
			return customs[i][1];
	if (row->type == OPTION_WORD)
		return row->words[0].word;
	if (row->type == OPTION_STRING || row->type == OPTION_LIST)
		return "some text";
	return "7";
}

static void table_is_sound(void **state _unused_)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];

		assert_true(row->commands != 0);
		assert_true(row->help && row->help[0] && row->help[strlen(row->help) - 1] != '.');
		assert_int_equal(!row->placeholder, row->argument == ARGUMENT_NONE);
		assert_int_equal(!row->words, row->type != OPTION_WORD);
		assert_int_equal(!row->set, row->type != OPTION_CUSTOM);
		assert_int_equal(!row->action, row->type != OPTION_ACTION);
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(row->name, option_table[k].name);
			if (row->letter && row->letter == option_table[k].letter)
				assert_int_equal(row->commands & option_table[k].commands, 0);
		}
	}
}

/* Every member of a request has a row, or comes from the caller of the RPC alone. */
static void rpc_names_exist(void **state _unused_)
{
	static const char *const rpc_only[] = {"images_dir_fd", "pidfd_store_sk",
		"orphan_pts_master", "manage_cgroups", "unix_sk_ino", "auto_ext_mnt",
		"log_to_stderr", "ext_mnt"};
	const ProtobufCMessageDescriptor *opts = &criu_opts__descriptor;
	bool covered[256] = {};

	for (size_t i = 0; i < option_count; i++) {
		char name[64] = "";
		const ProtobufCFieldDescriptor *field;

		if (!option_table[i].rpc)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(option_table[i].rpc, "."),
			option_table[i].rpc);
		field = protobuf_c_message_descriptor_get_field_by_name(opts, name);
		if (!field)
			fail_msg("criu_opts has no %s", name);
		covered[field - opts->fields] = true;
	}
	for (unsigned i = 0; i < opts->n_fields; i++) {
		bool known = covered[i];

		for (size_t k = 0; k < ARRAY_SIZE(rpc_only); k++)
			known |= streq(opts->fields[i].name, rpc_only[k]);
		if (!known)
			fail_msg("no row for %s of criu_opts", opts->fields[i].name);
	}
}

/* Called as criu, verify takes any option: so every row can be tried, built or not. */
static void every_row_parses(void **state _unused_)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		const char *value = sample(row);
		char option[256];
		struct parsed parsed;

		if (row->type == OPTION_ACTION || streq(row->name, "exec-cmd"))
			continue;
		snprintf(option, sizeof(option), "--%s%s%s", row->name, value ? "=" : "",
			value ?: "");
		parsed = PARSE("criu", "verify", option);
		if (parsed.rc < 0)
			fail_msg("%s: %s", option, parsed.err.message);
		if (row->type == OPTION_FLAG)
			assert_true(*(bool *)((char *)&parsed.invocation.job + row->offset));
		if (row->type == OPTION_LIST)
			assert_int_equal(((struct string_list *)((char *)&parsed.invocation.job +
								 row->offset))
						 ->count,
				1);
		done(&parsed);
		if (row->type != OPTION_FLAG)
			continue;
		snprintf(option, sizeof(option), "--no-%s", row->name);
		parsed = PARSE("criu", "verify", option);
		assert_int_equal(parsed.rc, 0);
		assert_false(*(bool *)((char *)&parsed.invocation.job + row->offset));
		done(&parsed);
	}
}

static void letters_parse(void **state _unused_)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		char option[256];
		struct parsed parsed;

		if (!row->letter || row->type == OPTION_ACTION)
			continue;
		snprintf(option, sizeof(option), "-%c%s", row->letter, sample(row) ?: "");
		parsed = PARSE("criu", option, "verify");
		if (parsed.rc < 0)
			fail_msg("%s: %s", option, parsed.err.message);
		done(&parsed);
	}
}

static void refused(const char *sentence, const char *const *words)
{
	struct parsed parsed = parse(words);

	assert_true(parsed.rc < 0);
	assert_int_equal(parsed.err.class, ERROR_USAGE);
	if (!strstr(parsed.err.message, sentence))
		fail_msg("'%s' does not say '%s'", parsed.err.message, sentence);
	assert_null(strchr(parsed.err.message, '\n'));
	done(&parsed);
}

#define REFUSED(sentence, ...) refused(sentence, (const char *const[]){__VA_ARGS__, NULL})

static void mistakes_are_sentences(void **state _unused_)
{
	REFUSED("no command", "stasis");
	REFUSED("unknown command 'frobnicate'", "stasis", "frobnicate");
	REFUSED("unknown or ambiguous option --nosuch", "stasis", "verify", "--nosuch");
	REFUSED("unknown or ambiguous option --nosuch=5", "stasis", "verify", "--nosuch=5");
	REFUSED("unknown option -Z", "stasis", "verify", "-Z");
	REFUSED("--images-dir needs an argument", "stasis", "verify", "--images-dir");
	REFUSED("-D needs an argument", "stasis", "verify", "-D");
	REFUSED("--json=yes takes no argument", "stasis", "verify", "--json=yes");
	REFUSED("--tree is not an option of verify", "stasis", "verify", "--tree", "5");
	REFUSED("does not take 'three'", "stasis", "verify", "two", "three");
	REFUSED("show needs DIR", "stasis", "show");
	REFUSED("--exec-cmd needs a command", "criu", "verify", "--exec-cmd");
}

static void bad_values_are_sentences(void **state _unused_)
{
	static const char *const bad[] = {"--tree=", "--tree=0", "--tree=-5", "--tree=5x",
		"--tree= 5", "--tree=99999999999999999999", "--ghost-limit=1T", "--ghost-limit=M",
		"--ghost-limit=17179869184G", "--ghost-limit=1MB", "--timeout=-1",
		"--file-validation=crc", "--network-lock=none", "--pre-dump-mode=x",
		"--cpu-cap=x87", "--manage-cgroups=some", "--empty-ns=pid", "--inherit-fd=3:x",
		"--inherit-fd=fd[]:x", "--inherit-fd=fd[3]:", "--ext-unix-sk=a", "--verbosity=x",
		"-v-1", "--close=x", "--ps-socket=-1", "--ext-mount-map=x"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		REFUSED("", "criu", "verify", bad[i]);
	REFUSED("--tree takes a process id, not '5x'", "criu", "verify", "--tree=5x");
	REFUSED("one of filesize, buildid", "criu", "verify", "--file-validation=crc");
}

static void values_arrive(void **state _unused_)
{
	struct parsed parsed = PARSE("criu", "-t", "42", "verify", "--ghost-limit", "3k", "-vv",
		"--file-validation=filesize", "--cpu-cap", "--", "dir");
	const struct job *job = &parsed.invocation.job;

	assert_int_equal(parsed.rc, 0);
	assert_int_equal(job->pid, 42);
	assert_int_equal(job->ghost_limit, 3072);
	assert_int_equal(job->log_level, LOG_DEBUG);
	assert_int_equal(job->file_validation, FILE_VALIDATION_FILESIZE);
	assert_int_equal(job->cpu_cap, CPU_CAP_ALL);
	assert_int_equal(parsed.invocation.argument_count, 1);
	assert_string_equal(parsed.invocation.arguments[0], "dir");
	assert_string_equal(job->images_dir, ".");
	done(&parsed);
}

static void verbosity_levels(void **state _unused_)
{
	static const struct {
		const char *option;
		int level;
	} cases[] = {{"-v", 3}, {"-vv", 4}, {"-vvvvv", 4}, {"-v0", 0}, {"-v1", 1}, {"-v4", 4},
		{"-v9", 4}, {"--verbosity=2", 2}, {"--verbosity", 3}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed parsed = PARSE("stasis", "verify", cases[i].option);

		assert_int_equal(parsed.rc, 0);
		assert_int_equal(parsed.invocation.job.log_level, cases[i].level);
		done(&parsed);
	}
}

static void exec_cmd_is_taken(void **state _unused_)
{
	struct parsed parsed = PARSE("criu", "verify", "--exec-cmd", "--", "ls", "-l");

	assert_int_equal(parsed.rc, 0);
	assert_string_equal(parsed.invocation.job.exec_cmd[0], "ls");
	assert_string_equal(parsed.invocation.job.exec_cmd[1], "-l");
	assert_null(parsed.invocation.job.exec_cmd[2]);
	done(&parsed);
}

/* -d is --daemon for servers and --restore-detached for restore. */
static void shared_letter(void **state _unused_)
{
	assert_string_equal(option_by_letter('d', CMD_RESTORE)->name, "restore-detached");
	assert_string_equal(option_by_letter('d', CMD_SERVICE)->name, "daemon");
	assert_null(option_by_letter('Z', CMD_ALL));
}

static void unbuilt_is_refused(void **state _unused_)
{
	struct error err = ERROR_INIT;
	bool on;
	const struct option_row *row = option_by_name("tcp-established", &on);

	if (row->built)
		skip();
	assert_true(option_check_built(row, true, CMD_DUMP, &err) < 0);
	assert_string_equal(err.message, "--tcp-established is not built yet");
	assert_int_equal(err.class, ERROR_USAGE);
	assert_int_equal(option_check_built(row, false, CMD_DUMP, &err), 0);
	assert_int_equal(option_check_built(row, true, CMD_CHECK, &err), 0);
}

struct lines {
	char text[512];
};

static int note_line(void *context, const char *name, const char *value, struct error *err _unused_)
{
	struct lines *lines = context;
	size_t used = strlen(lines->text);

	snprintf(lines->text + used, sizeof(lines->text) - used, "%s=%s|", name, value ?: "");
	return 0;
}

static void config_syntax(void **state _unused_)
{
	static const struct {
		const char *text, *lines;
	} cases[] = {
		{"", ""},
		{"\n\n  \t\n# only a comment", ""},
		{"tcp-established", "tcp-established=|"},
		{"a\nb\n", "a=|b=|"},
		{"work-dir /tmp", "work-dir=/tmp|"},
		{"\t work-dir \t /tmp \t\r\n", "work-dir=/tmp|"},
		{"work-dir \"/a b/c\"", "work-dir=/a b/c|"},
		{"work-dir \"/my \\\"work\\\" dir\"", "work-dir=/my \"work\" dir|"},
		{"work-dir \"a\\nb\\\\c\"", "work-dir=a\\nb\\\\c|"},
		{"work-dir \"a # b\" # c", "work-dir=a # b|"},
		{"no-restore-sibling\t# another", "no-restore-sibling=|"},
		{"shell-job#comment \"", "shell-job=|"},
		{"root /x#comment", "root=/x|"},
		{"root \"\"", "root=|"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lines lines = {};
		struct error err = ERROR_INIT;

		assert_int_equal(config_parse(cases[i].text, strlen(cases[i].text), "f", note_line,
					 &lines, &err),
			0);
		assert_string_equal(lines.text, cases[i].lines);
	}
}

static void config_mistakes(void **state _unused_)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"a\nroot \"x", "f:2: the quote is not closed"},
		{"--root x", "f:1: '--root': options are written without dashes here"},
		{"root a b", "f:1: 'b' after the argument of root"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lines lines = {};
		struct error err = ERROR_INIT;

		assert_true(config_parse(cases[i].text, strlen(cases[i].text), "f", note_line,
				    &lines, &err) < 0);
		assert_int_equal(err.class, ERROR_USAGE);
		if (!starts_with(err.message, cases[i].sentence))
			fail_msg("%s", err.message);
	}
	struct lines lines = {};
	struct error err = ERROR_INIT;

	assert_true(config_parse("a\0b", 3, "f", note_line, &lines, &err) < 0);
	assert_string_equal(err.message, "f:1: not a text file");
}

static void write_file(const char *home, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", home, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int make_home(void **state)
{
	char path[] = "/tmp/stasis-options-XXXXXX", command[128];

	assert_non_null(mkdtemp(path));
	snprintf(command, sizeof(command), "mkdir -p %s/.criu %s/.stasis", path, path);
	assert_int_equal(system(command), 0);
	setenv("HOME", path, 1);
	unsetenv("CRIU_CONFIG_FILE");
	*state = xstrdup(path);
	return 0;
}

static int remove_home(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	unsetenv("CRIU_CONFIG_FILE");
	free(*state);
	return system(command);
}

static void assert_work_dir(const char *expected, struct parsed parsed)
{
	if (parsed.rc < 0)
		fail_msg("%s", parsed.err.message);
	assert_string_equal(parsed.invocation.job.work_dir, expected);
	done(&parsed);
}

/* Each later source wins over the ones before. */
static void config_precedence(void **state)
{
	const char *home = *state;
	char named[128], asked[128];
	struct parsed parsed;

	write_file(home, ".criu/default.conf", "work-dir 1\njson\nfeature a");
	assert_work_dir("1", PARSE("stasis", "verify"));
	write_file(home, ".stasis/default.conf", "work-dir 2\nno-json");
	parsed = PARSE("stasis", "verify");
	assert_false(parsed.invocation.job.json);
	assert_work_dir("2", parsed);
	write_file(home, "named", "work-dir 3");
	snprintf(named, sizeof(named), "%s/named", home);
	setenv("CRIU_CONFIG_FILE", named, 1);
	assert_work_dir("3", PARSE("stasis", "verify"));
	write_file(home, "asked", "work-dir \"4 4\"");
	snprintf(asked, sizeof(asked), "%s/asked", home);
	assert_work_dir("4 4", PARSE("stasis", "verify", "--config", asked));
	assert_work_dir("5", PARSE("stasis", "-W", "5", "verify", "--config", asked));
	assert_work_dir("3", PARSE("stasis", "verify", "--no-default-config"));
	unsetenv("CRIU_CONFIG_FILE");
	parsed = PARSE("stasis", "verify", "--no-default-config");
	assert_null(parsed.invocation.job.work_dir);
	done(&parsed);
}

static void config_files_that_fail(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/bad", (char *)*state);
	REFUSED("cannot be read", "stasis", "verify", "--config", path);
	write_file(*state, "bad", "nosuch");
	REFUSED("bad:1: unknown option 'nosuch'", "stasis", "verify", "--config", path);
	write_file(*state, "bad", "#\n\ntree x");
	REFUSED("bad:3: --tree takes a process id, not 'x'", "stasis", "verify", "--config", path);
	write_file(*state, "bad", "config other");
	REFUSED("--config is for the command line only", "stasis", "verify", "--config", path);
	write_file(*state, "bad", "work-dir");
	REFUSED("--work-dir needs DIR", "stasis", "verify", "--config", path);
	write_file(*state, "bad", "json yes");
	REFUSED("--json takes no argument", "stasis", "verify", "--config", path);
	/* Meant for another command, built or not: no effect. */
	write_file(*state, "bad", "tree 5\ntcp-established\nmanage-cgroups full");
	struct parsed parsed = PARSE("stasis", "verify", "--config", path);

	assert_int_equal(parsed.rc, 0);
	assert_int_equal(parsed.invocation.job.pid, 0);
	done(&parsed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(rpc_names_exist),
		cmocka_unit_test(every_row_parses),
		cmocka_unit_test(letters_parse),
		cmocka_unit_test(mistakes_are_sentences),
		cmocka_unit_test(bad_values_are_sentences),
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(verbosity_levels),
		cmocka_unit_test(exec_cmd_is_taken),
		cmocka_unit_test(shared_letter),
		cmocka_unit_test(unbuilt_is_refused),
		cmocka_unit_test(config_syntax),
		cmocka_unit_test(config_mistakes),
		cmocka_unit_test_setup_teardown(config_precedence, make_home, remove_home),
		cmocka_unit_test_setup_teardown(config_files_that_fail, make_home, remove_home),
	};

	return cmocka_run_group_tests(tests, make_home, remove_home);
}
