#pragma once
/*
 * What was asked: one job, free of getopt, filled by the command line (cli/), by configuration
 * files or by a request of the service (rpc/), and const from then on.
 *
 * The names and meanings are those of CRIU 4.2's options (criu(8)); what only stasis knows is
 * marked. Which option fills which member, for which command, and whether it is built yet stands in
 * one table: cli/options.c.
 *
 * Ownership: every string and list belongs to the job's own arena. job_init() first, job_deinit()
 * at the end; nothing else is freed, and no string outlives its job. Descriptors are borrowed:
 * whoever opened them (the caller of the RPC, the shell) closes them.
 */
#include "base/arena.h"

/* A list in the order in which it was asked. Elements are never NULL. */
struct string_list {
	const char **items;
	size_t count;
	size_t capacity;
};

/* How a file that a task has open is recognised on restore (--file-validation). */
enum file_validation {
	FILE_VALIDATION_FILESIZE,
	FILE_VALIDATION_BUILDID, /* ELF files by build id, others by size */
};

/* --manage-cgroups. The values are those of the RPC's criu_cg_mode. */
enum cgroup_mode {
	CGROUP_MODE_IGNORE = 0,
	CGROUP_MODE_NONE = 1,
	CGROUP_MODE_PROPS = 2,
	CGROUP_MODE_SOFT = 3,
	CGROUP_MODE_FULL = 4,
	CGROUP_MODE_STRICT = 5,
	CGROUP_MODE_DEFAULT = 6, /* not asked: soft in CRIU */
};

/* --network-lock. The values are those of the RPC's criu_network_lock_method. */
enum network_lock {
	NETWORK_LOCK_IPTABLES = 1,
	NETWORK_LOCK_NFTABLES = 2,
	NETWORK_LOCK_SKIP = 3,
};

/* --pre-dump-mode. The values are those of the RPC's criu_pre_dump_mode. */
enum pre_dump_mode {
	PRE_DUMP_SPLICE = 1,
	PRE_DUMP_READ = 2,
};

/* --cpu-cap, a set. */
enum cpu_cap {
	CPU_CAP_NONE = 0,
	CPU_CAP_FPU = 1 << 0,
	CPU_CAP_CPU = 1 << 1,
	CPU_CAP_INS = 1 << 2,
	CPU_CAP_ALL = CPU_CAP_FPU | CPU_CAP_CPU | CPU_CAP_INS,
	CPU_CAP_DEFAULT = CPU_CAP_FPU | CPU_CAP_INS,
};

#define JOB_GHOST_LIMIT_DEFAULT ((uint64_t)1 << 20)
#define JOB_TIMEOUT_DEFAULT     10
#define JOB_PORT_DEFAULT        0

struct job {
	struct arena arena; /* owns every string and list below */

	/* Which tree, and where the images are. */
	pid_t pid; /* root task; 0: not asked */
	const char *images_dir; /* NULL: the current directory */
	const char *work_dir; /* logs, pidfiles, statistics; NULL: images_dir */
	const char *parent_img; /* --prev-images-dir, relative to images_dir */
	const char *root; /* --root: the new root of a mount namespace; NULL: none */
	int images_dir_fd; /* RPC: instead of images_dir; -1: none */
	int work_dir_fd; /* RPC: instead of work_dir; -1: none */
	bool stream; /* images through criu-image-streamer */

	/* What becomes of the tasks. */
	bool leave_running;
	bool leave_stopped;
	bool restore_detached;
	bool restore_sibling;
	const char **exec_cmd; /* NULL-terminated; NULL: none */
	const char *pidfile;
	int status_fd; /* '\0' is written to it when ready; -1: none */
	int pidfd_store_sk; /* RPC: keeps pidfds between pre-dumps; -1: none */
	unsigned timeout; /* seconds to collect tasks in a dump; 0: no limit */
	const char *freeze_cgroup;

	/* What the tree may hold, and how it is taken. */
	bool shell_job;
	bool file_locks;
	bool link_remap;
	bool evasive_devices;
	bool ext_unix_sk;
	struct string_list unix_sk_ino; /* --ext-unix-sk INODE: decimal inode numbers */
	bool tcp_established;
	bool tcp_close;
	bool skip_in_flight;
	bool orphan_pts_master; /* RPC */
	bool force_irmap;
	struct string_list irmap_scan_paths;
	uint64_t ghost_limit; /* bytes of a deleted file that are carried in the images */
	bool ghost_fiemap; /* find the holes of deleted files with FIEMAP */
	enum file_validation file_validation;
	bool skip_file_rwx_check;
	bool allow_uprobes;
	unsigned cpu_cap; /* enum cpu_cap, or-ed */
	bool weak_sysctls;
	bool unprivileged;
	enum network_lock network_lock;

	/* What is outside of the tree. Each string is as typed (criu(8), --external and others). */
	struct string_list external;
	struct string_list inherit_fd; /* "fd[N]:RESOURCE" */
	struct string_list join_ns; /* "NS:PID-or-FILE[,EXTRA]" */
	struct string_list empty_ns; /* names: "net" */
	struct string_list skip_mnt;
	struct string_list enable_fs;
	struct string_list veth_pairs; /* "IN=OUT[@BRIDGE]" */
	struct string_list ext_mount_map; /* "KEY:VALUE", the form before --external */
	bool auto_ext_mnt; /* RPC; --ext-mount-map auto */
	bool ext_sharing; /* --enable-external-sharing */
	bool ext_masters; /* --enable-external-masters */
	bool mntns_compat_mode;
	const char *lsm_profile;
	const char *lsm_mount_context;
	struct string_list close_fds; /* --close: decimal numbers, closed before anything else */

	/* Cgroups. */
	bool manage_cgroups; /* --manage-cgroups was given */
	enum cgroup_mode manage_cgroups_mode;
	struct string_list cgroup_roots; /* "[CONTROLLER:]/PATH" */
	const char *cgroup_props;
	const char *cgroup_props_file;
	struct string_list cgroup_dump_controllers;
	const char *cgroup_yard;

	/* Memory. */
	bool track_mem;
	bool auto_dedup;
	bool lazy_pages;
	enum pre_dump_mode pre_dump_mode;
	bool share_pages; /* stasis: pages shared by fork once, in an image that CRIU refuses */

	/* Page server, service. */
	bool use_page_server; /* --page-server */
	const char *address;
	unsigned port;
	int ps_socket; /* -1: none */
	bool daemon;
	bool tls;
	bool tls_no_cn_verify;
	const char *tls_cacert;
	const char *tls_cacrl;
	const char *tls_cert;
	const char *tls_key;

	/* Who is told. */
	struct string_list action_scripts;
	bool notify_scripts; /* RPC: stages are told to the client */
	const char *libdir; /* plugins */
	const char *log_file; /* relative to the work directory; NULL or "-": standard error */
	int log_level; /* enum log_level */
	bool log_pid; /* a log file for each task */
	bool log_to_stderr; /* RPC */
	bool display_stats;
	bool json; /* stasis: one JSON object on standard output */
	bool quiet; /* stasis: nothing on standard error but the failure */

	/* stasis: restore: print the plan and stop before anything is created. */
	bool dry_run;

	/* check */
	bool check_extra;
	bool check_experimental;
	bool check_all;
	bool check_kinds; /* stasis: print the table of kinds */
	struct string_list features;
};

/* Everything as it is when nothing is asked. */
void job_init(struct job *job);
/* Gives back the arena. The job may be init'ed again. */
void job_deinit(struct job *job);

/* Copies s into the job. */
const char *job_strdup(struct job *job, const char *s);
/* Appends a copy of s; `list` is a member of `job`. */
void job_list_add(struct job *job, struct string_list *list, const char *s);
/* Whether the list holds s. */
bool string_list_has(const struct string_list *list, const char *s);
