/*
 * stasis check: what this kernel and our privileges allow. Words, exit codes and names of features
 * are CRIU's (criu(8), check), so that scripts that ask it go on working.
 */
#include "base/log.h"
#include "cli/commands.h"
#include "kernel/features.h"

static json_t *row_json(const struct kernel_features *features, enum kernel_feature feature)
{
	static const char *const needs[] = {
		[FEATURE_BASE] = "base",
		[FEATURE_EXTRA] = "extra",
		[FEATURE_EXPERIMENTAL] = "experimental",
	};
	const struct feature_info *info = &feature_table[feature];

	return json_pack("{s:s, s:b, s:s, s:s, s:s}", "name", info->name, "present",
		kernel_has(features, feature), "category", needs[info->need], "purpose",
		info->purpose, "takes", info->lacking);
}

/* Prints the names that `--feature` knows, CRIU's first spelling where there is one. */
static int print_names(const struct invocation *invocation, struct report *report)
{
	json_t *names = json_array();

	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		const char *all = feature_table[i].criu;

		if (!all || strncmp(all, feature_table[i].name, strcspn(all, ",")))
			json_array_append_new(names, json_string(feature_table[i].name));
		while (all && *all) {
			size_t length = strcspn(all, ",");

			json_array_append_new(names, json_stringn(all, length));
			all += length + (all[length] == ',');
		}
	}
	for (size_t i = 0; !invocation->job.json && i < json_array_size(names); i++)
		printf("%s%s", i ? " " : "", json_string_value(json_array_get(names, i)));
	if (!invocation->job.json)
		putchar('\n');
	report->result = json_pack("{s:o}", "features", names);
	return 0;
}

static int check_named(const struct invocation *invocation, struct report *report)
{
	const struct string_list *names = &invocation->job.features;
	struct kernel_features features;
	json_t *rows = json_array();
	int rc = 0;

	report->result = json_pack("{s:o}", "features", rows);
	kernel_features_init(&features);
	for (size_t i = 0; i < names->count; i++) {
		int found = kernel_feature_by_name(names->items[i]);
		enum kernel_feature feature = (enum kernel_feature)found;

		if (found < 0) {
			rc = error_refuse(
				&report->err, ERROR_USAGE, "unknown feature '%s'", names->items[i]);
			error_hint(&report->err, "check --feature list prints the names");
			return rc;
		}
		kernel_features_probe(&features, &feature, 1);
		json_array_append_new(rows, row_json(&features, feature));
		if (!invocation->job.json)
			printf("%s is %ssupported\n", names->items[i],
				kernel_has(&features, feature) ? "" : "not ");
		if (!kernel_has(&features, feature))
			rc = kernel_require(&features, feature, problems_add(&report->problems));
	}
	return rc;
}

static bool wanted(const struct job *job, enum feature_need need)
{
	switch (need) {
	case FEATURE_BASE:
		return true;
	case FEATURE_EXTRA:
		return job->check_extra || job->check_all;
	default:
		return job->check_experimental || job->check_all;
	}
}

/* Fills problems with what lacks; returns whether something of the base does. */
static bool find_lacking(const struct job *job, const struct kernel_features *features,
	json_t *rows, struct problems *problems)
{
	bool base = false;

	for (enum kernel_feature feature = 0; feature < FEATURE_COUNT; feature++) {
		const struct feature_info *info = &feature_table[feature];

		if (!wanted(job, info->need))
			continue;
		json_array_append_new(rows, row_json(features, feature));
		if (kernel_has(features, feature)) {
			log_info("%s: present, for %s", info->name, info->purpose);
			continue;
		}
		base |= info->need == FEATURE_BASE;
		kernel_require(features, feature, problems_add(problems));
	}
	return base;
}

static int check_categories(const struct invocation *invocation, struct report *report)
{
	const struct job *job = &invocation->job;
	struct kernel_features features;
	json_t *rows = json_array();
	const char *verdict = "Looks good.";
	bool base;

	report->result = json_pack("{s:o}", "features", rows);
	kernel_features_init(&features);
	for (enum kernel_feature feature = 0; feature < FEATURE_COUNT; feature++)
		if (wanted(job, feature_table[feature].need))
			kernel_features_probe(&features, &feature, 1);
	base = find_lacking(job, &features, rows, &report->problems);
	if (base)
		verdict = "Does not look good.";
	else if (report->problems.count)
		verdict = "Looks good but some kernel features are missing\n"
			  "which, depending on the tree, may be needed to dump or restore it.";
	if (!job->json)
		printf("%s\n", verdict);
	if (!report->problems.count)
		return 0;
	error_refuse(&report->err, ERROR_KERNEL_LACKS, "%zu kernel feature%s missing",
		report->problems.count, report->problems.count == 1 ? " is" : "s are");
	return -EINVAL;
}

int command_check(const struct invocation *invocation, struct report *report)
{
	const struct job *job = &invocation->job;

	if (job->check_kinds)
#ifdef HAVE_KINDS
		return check_kinds(invocation, report);
#else
		return error_refuse(&report->err, ERROR_USAGE, "--kinds is not built yet");
#endif
	if (string_list_has(&job->features, "list"))
		return print_names(invocation, report);
	if (job->features.count)
		return check_named(invocation, report);
	return check_categories(invocation, report);
}
