/*
 * The rows. Names, letters and meanings are CRIU 4.2's (criu(8)); the last of each group are
 * stasis's own. A row that is not `built` is known, and refused where it would matter.
 */
#include "cli/options.h"

#define D  CMD_DUMP
#define P  CMD_PRE_DUMP
#define R  CMD_RESTORE
#define N  CMD_INSPECT
#define DP (CMD_DUMP | CMD_PRE_DUMP)
#define DR (CMD_DUMP | CMD_RESTORE)
/* What looks at a tree. */
#define LOOK (DP | N)
/* What looks at a tree, and its way back. */
#define TREE (LOOK | R)
/* What works on a directory of images. */
#define IMAGES                                                                          \
	(TREE | CMD_PAGE_SERVER | CMD_LAZY_PAGES | CMD_DEDUP | CMD_CPUINFO | CMD_SHOW | \
		CMD_VERIFY | CMD_CLEANUP | CMD_SERVICE)
#define SERVERS (CMD_PAGE_SERVER | CMD_SERVICE | CMD_LAZY_PAGES)
#define REMOTE  (DP | R | SERVERS)

#define FLAG(member)         .type = OPTION_FLAG, .offset = offsetof(struct job, member)
#define WITH(kind, hint)     .type = kind, .argument = ARGUMENT_REQUIRED, .placeholder = hint
#define STRING(member, hint) WITH(OPTION_STRING, hint), .offset = offsetof(struct job, member)
#define LIST(member, hint)   WITH(OPTION_LIST, hint), .offset = offsetof(struct job, member)
#define FD(member)           WITH(OPTION_FD, "FD"), .offset = offsetof(struct job, member)
#define WORD(member, list, hint) \
	WITH(OPTION_WORD, hint), .words = list, .offset = offsetof(struct job, member)
#define CUSTOM(setter, arg, hint) \
	.type = OPTION_CUSTOM, .set = setter, .argument = arg, .placeholder = hint

static const struct option_word validations[] = {
	{"filesize", FILE_VALIDATION_FILESIZE},
	{"buildid", FILE_VALIDATION_BUILDID},
	{"build-id", FILE_VALIDATION_BUILDID},
	{},
};
static const struct option_word network_locks[] = {
	{"iptables", NETWORK_LOCK_IPTABLES},
	{"nftables", NETWORK_LOCK_NFTABLES},
	{"skip", NETWORK_LOCK_SKIP},
	{},
};
static const struct option_word pre_dump_modes[] = {
	{"splice", PRE_DUMP_SPLICE},
	{"read", PRE_DUMP_READ},
	{},
};

const char *const option_group_titles[GROUP_COUNT] = {
	[GROUP_GENERIC] = "Which tree, and where",
	[GROUP_TASKS] = "What becomes of the tasks",
	[GROUP_RESOURCES] = "What the tree may hold",
	[GROUP_EXTERNAL] = "What is outside of the tree",
	[GROUP_CGROUPS] = "Cgroups",
	[GROUP_MEMORY] = "Memory",
	[GROUP_SERVER] = "Page server and service",
	[GROUP_CHECK] = "Check",
	[GROUP_LOGGING] = "Logging and output",
	[GROUP_PROGRAM] = "Configuration and help",
};

/* clang-format off */
const struct option_row option_table[] = {
/* --- which tree, and where --- */
{"tree", 't', true, WITH(OPTION_PID, "PID"), .group = GROUP_GENERIC, .commands = LOOK,
	.offset = offsetof(struct job, pid), .rpc = "pid",
	.help = "the tree of tasks that begins with PID"},
{"images-dir", 'D', true, STRING(images_dir, "DIR"), .group = GROUP_GENERIC, .commands = IMAGES,
	.rpc = "images_dir", .help = "directory of the images (default: the current one)"},
{"work-dir", 'W', true, STRING(work_dir, "DIR"), .group = GROUP_GENERIC, .commands = IMAGES,
	.rpc = "work_dir_fd",
	.help = "directory for logs, pidfiles and statistics (default: the images' one)"},
{"prev-images-dir", 0, false, STRING(parent_img, "DIR"), .group = GROUP_GENERIC, .commands = DP,
	.rpc = "parent_img", .help = "images of the dump before, relative to --images-dir"},
{"root", 'r', false, STRING(root, "PATH"), .group = GROUP_GENERIC, .commands = TREE,
	.rpc = "root", .help = "the root of the restored mount namespace"},
{"stream", 0, false, FLAG(stream), .group = GROUP_GENERIC, .commands = DR,
	.help = "images go through criu-image-streamer"},
{"libdir", 'L', false, STRING(libdir, "DIR"), .group = GROUP_GENERIC, .commands = TREE,
	.help = "directory of the plugins"},
{"action-script", 0, false, LIST(action_scripts, "FILE"), .group = GROUP_GENERIC,
	.commands = DP | R, .rpc = "notify_scripts",
	.help = "a program that is called at each stage"},

/* --- what becomes of the tasks --- */
{"leave-running", 'R', true, FLAG(leave_running), .group = GROUP_TASKS, .commands = DP,
	.rpc = "leave_running", .help = "let the tasks go on after the dump"},
{"leave-stopped", 's', true, FLAG(leave_stopped), .group = GROUP_TASKS, .commands = DP | R,
	.rpc = "leave_stopped", .help = "leave the tasks stopped after the dump or the restore"},
{"restore-detached", 'd', true, FLAG(restore_detached), .group = GROUP_TASKS, .commands = R,
	.help = "return as soon as the tree runs"},
{"restore-sibling", 'S', true, FLAG(restore_sibling), .group = GROUP_TASKS, .commands = R,
	.rpc = "rst_sibling",
	.help = "make the root task a child of the caller (with --restore-detached)"},
{"exec-cmd", 0, true, CUSTOM(option_set_exec_cmd, ARGUMENT_NONE, NULL), .group = GROUP_TASKS,
	.commands = R, .rpc = "exec_cmd",
	.help = "become the command after -- once the tree runs, as its parent"},
{"pidfile", 0, true, STRING(pidfile, "FILE"), .group = GROUP_TASKS, .commands = R | SERVERS,
	.help = "write the pid of the root task or of the server to FILE"},
{"timeout", 0, true, WITH(OPTION_UINT, "SECONDS"), .group = GROUP_TASKS, .commands = LOOK,
	.offset = offsetof(struct job, timeout), .rpc = "timeout",
	.help = "give up when the tasks do not stop in that time (default 10; 0: never)"},
{"freeze-cgroup", 0, false, STRING(freeze_cgroup, "PATH"), .group = GROUP_TASKS, .commands = LOOK,
	.rpc = "freeze_cgroup", .help = "stop the tasks with the freezer of that cgroup"},

/* --- what the tree may hold --- */
{"shell-job", 'j', true, FLAG(shell_job), .group = GROUP_RESOURCES, .commands = TREE,
	.rpc = "shell_job",
	.help = "the tree was started from a shell: session and terminal stay the caller's"},
{"file-locks", 'l', false, FLAG(file_locks), .group = GROUP_RESOURCES, .commands = TREE,
	.rpc = "file_locks", .help = "take file locks along (nobody outside may hold one)"},
{"link-remap", 0, true, FLAG(link_remap), .group = GROUP_RESOURCES, .commands = TREE,
	.rpc = "link_remap", .help = "give deleted files that are still in use a name again"},
{"ghost-limit", 0, true, WITH(OPTION_SIZE, "SIZE"), .group = GROUP_RESOURCES, .commands = LOOK,
	.offset = offsetof(struct job, ghost_limit), .rpc = "ghost_limit",
	.help = "how large a deleted file may be to be carried in the images (default 1M)"},
{"ghost-fiemap", 0, false, FLAG(ghost_fiemap), .group = GROUP_RESOURCES, .commands = DP,
	.help = "ask the file system for the holes of deleted files (FIEMAP)"},
{"evasive-devices", 0, false, FLAG(evasive_devices), .group = GROUP_RESOURCES, .commands = TREE,
	.rpc = "evasive_devices", .help = "take any path of a device when its own cannot be reached"},
{"file-validation", 0, true, WORD(file_validation, validations, "METHOD"),
	.group = GROUP_RESOURCES, .commands = DR,
	.help = "tell changed files by filesize or by buildid (default buildid)"},
{"skip-file-rwx-check", 0, true, FLAG(skip_file_rwx_check), .group = GROUP_RESOURCES,
	.commands = R, .rpc = "skip_file_rwx_check",
	.help = "restore though the permissions of a file have changed"},
{"allow-uprobes", 0, false, FLAG(allow_uprobes), .group = GROUP_RESOURCES, .commands = TREE,
	.help = "dump tasks with uprobes; they must be there again on restore"},
{"tcp-established", 0, false, FLAG(tcp_established), .group = GROUP_RESOURCES, .commands = TREE,
	.rpc = "tcp_established", .help = "take established TCP connections along"},
{"tcp-close", 0, false, FLAG(tcp_close), .group = GROUP_RESOURCES, .commands = TREE,
	.rpc = "tcp_close", .help = "restore TCP connections as closed ones"},
{"skip-in-flight", 0, false, FLAG(skip_in_flight), .group = GROUP_RESOURCES, .commands = LOOK,
	.rpc = "tcp_skip_in_flight", .help = "leave out TCP connections that are not established yet"},
{"network-lock", 0, false, WORD(network_lock, network_locks, "METHOD"), .group = GROUP_RESOURCES,
	.commands = DR, .rpc = "network_lock",
	.help = "how packets are held back: iptables (default), nftables, skip"},
{"force-irmap", 0, false, FLAG(force_irmap), .group = GROUP_RESOURCES, .commands = LOOK,
	.rpc = "force_irmap", .help = "search the paths of inotify and fanotify watches"},
{"irmap-scan-path", 0, false, LIST(irmap_scan_paths, "PATH"), .group = GROUP_RESOURCES,
	.commands = LOOK, .rpc = "irmap_scan_paths", .help = "search there too"},
{"cpu-cap", 0, true, CUSTOM(option_set_cpu_cap, ARGUMENT_OPTIONAL, "LIST"),
	.group = GROUP_RESOURCES, .commands = DR | CMD_CPUINFO, .rpc = "cpu_cap",
	.help = "what of the processor is written and compared: cpu, fpu, ins, all, none, ^X"},
{"weak-sysctls", 0, false, FLAG(weak_sysctls), .group = GROUP_RESOURCES, .commands = R,
	.rpc = "weak_sysctls", .help = "pass over sysctls that this kernel does not have"},
{"unprivileged", 0, false, FLAG(unprivileged), .group = GROUP_RESOURCES,
	.commands = TREE | CMD_CHECK, .rpc = "unprivileged",
	.help = "work without root, with CAP_CHECKPOINT_RESTORE alone"},

/* --- what is outside of the tree --- */
{"external", 0, false, LIST(external, "RESOURCE"), .group = GROUP_EXTERNAL, .commands = TREE,
	.rpc = "external",
	.help = "TYPE[ID]:VALUE is not part of the tree (mnt, dev, file, tty, unix, net, pid, veth)"},
{"inherit-fd", 0, false, CUSTOM(option_set_inherit_fd, ARGUMENT_REQUIRED, "fd[N]:RESOURCE"),
	.group = GROUP_EXTERNAL, .commands = R, .rpc = "inherit_fd",
	.help = "use our descriptor N for that resource"},
{"join-ns", 'J', false, LIST(join_ns, "NS:WHERE[,EXTRA]"), .group = GROUP_EXTERNAL, .commands = R,
	.rpc = "join_ns", .help = "restore into the namespace of a pid or a file"},
{"empty-ns", 0, false, CUSTOM(option_set_empty_ns, ARGUMENT_REQUIRED, "net"),
	.group = GROUP_EXTERNAL, .commands = DR, .rpc = "empty_ns",
	.help = "make the namespace and leave it empty"},
{"ext-unix-sk", 'x', false, CUSTOM(option_set_ext_unix_sk, ARGUMENT_OPTIONAL, "INODE"),
	.group = GROUP_EXTERNAL, .commands = TREE, .rpc = "ext_unix_sk",
	.help = "allow unix sockets whose other end is outside"},
{"ext-mount-map", 'M', false, CUSTOM(option_set_ext_mount_map, ARGUMENT_REQUIRED, "KEY:VALUE"),
	.group = GROUP_EXTERNAL, .commands = TREE, .rpc = "ext_mnt",
	.help = "bind mounts from outside, or auto (older form of --external mnt)"},
{"enable-external-sharing", 0, false, FLAG(ext_sharing), .group = GROUP_EXTERNAL,
	.commands = TREE, .rpc = "ext_sharing", .help = "find bind mounts that share with the outside"},
{"enable-external-masters", 0, false, FLAG(ext_masters), .group = GROUP_EXTERNAL,
	.commands = TREE, .rpc = "ext_masters", .help = "find bind mounts that follow the outside"},
{"veth-pair", 0, false, LIST(veth_pairs, "IN=OUT[@BRIDGE]"), .group = GROUP_EXTERNAL,
	.commands = R, .rpc = "veths", .help = "names of the two ends of a veth device"},
{"skip-mnt", 0, false, LIST(skip_mnt, "PATH"), .group = GROUP_EXTERNAL, .commands = TREE,
	.rpc = "skip_mnt", .help = "leave that mount point out"},
{"enable-fs", 0, false, LIST(enable_fs, "NAMES"), .group = GROUP_EXTERNAL, .commands = TREE,
	.rpc = "enable_fs", .help = "file systems to take though they are not known, or all"},
{"mntns-compat-mode", 0, false, FLAG(mntns_compat_mode), .group = GROUP_EXTERNAL, .commands = DR,
	.rpc = "mntns_compat_mode", .help = "restore mounts without MOVE_MOUNT_SET_GROUP"},
{"lsm-profile", 0, false, STRING(lsm_profile, "TYPE:NAME"), .group = GROUP_EXTERNAL,
	.commands = R, .rpc = "lsm_profile", .help = "run the tasks under another security profile"},
{"lsm-mount-context", 0, false, STRING(lsm_mount_context, "CONTEXT"), .group = GROUP_EXTERNAL,
	.commands = R, .rpc = "lsm_mount_context", .help = "replace the context= of mounts that have one"},
{"close", 0, true, CUSTOM(option_set_close, ARGUMENT_REQUIRED, "FD"), .group = GROUP_EXTERNAL,
	.commands = CMD_ALL, .help = "close that descriptor before anything else"},

/* --- cgroups --- */
{"manage-cgroups", 0, false, CUSTOM(option_set_manage_cgroups, ARGUMENT_OPTIONAL, "MODE"),
	.group = GROUP_CGROUPS, .commands = TREE, .rpc = "manage_cgroups_mode",
	.help = "take cgroups along: none, props, soft (default), full, strict, ignore"},
{"cgroup-root", 0, false, LIST(cgroup_roots, "[CONTROLLER:]/PATH"), .group = GROUP_CGROUPS,
	.commands = DR, .rpc = "cg_root", .help = "another root for the cgroups of the tree"},
{"cgroup-props", 0, false, STRING(cgroup_props, "TEXT"), .group = GROUP_CGROUPS,
	.commands = DP, .rpc = "cgroup_props", .help = "which properties are saved, in YAML"},
{"cgroup-props-file", 0, false, STRING(cgroup_props_file, "FILE"), .group = GROUP_CGROUPS,
	.commands = DP, .rpc = "cgroup_props_file", .help = "the same from a file"},
{"cgroup-dump-controller", 0, false, LIST(cgroup_dump_controllers, "NAME"),
	.group = GROUP_CGROUPS, .commands = DP, .rpc = "cgroup_dump_controller",
	.help = "save that controller and no other"},
{"cgroup-yard", 0, false, STRING(cgroup_yard, "PATH"), .group = GROUP_CGROUPS, .commands = DR,
	.rpc = "cgroup_yard", .help = "a directory where all cgroup hierarchies are mounted"},

/* --- memory --- */
{"track-mem", 0, false, FLAG(track_mem), .group = GROUP_MEMORY, .commands = DP,
	.rpc = "track_mem", .help = "have the kernel remember which pages are written from now on"},
{"auto-dedup", 0, false, FLAG(auto_dedup), .group = GROUP_MEMORY,
	.commands = DP | R | CMD_PAGE_SERVER, .rpc = "auto_dedup",
	.help = "punch pages that are not needed any more out of the images"},
{"lazy-pages", 0, false, FLAG(lazy_pages), .group = GROUP_MEMORY,
	.commands = DR | CMD_PAGE_SERVER, .rpc = "lazy_pages", .help = "bring pages when they are touched"},
{"pre-dump-mode", 0, false, WORD(pre_dump_mode, pre_dump_modes, "MODE"), .group = GROUP_MEMORY,
	.commands = P, .rpc = "pre_dump_mode", .help = "how pre-dump reads memory: splice or read"},
{"share-pages", 0, true, FLAG(share_pages), .group = GROUP_MEMORY, .commands = D,
	.help = "store pages shared by fork once, in images that CRIU refuses"},

/* --- page server and service --- */
{"page-server", 0, false, FLAG(use_page_server), .group = GROUP_SERVER, .commands = DP,
	.rpc = "ps", .help = "send pages to a page server"},
{"address", 0, false, STRING(address, "ADDRESS"), .group = GROUP_SERVER, .commands = REMOTE,
	.rpc = "ps.address", .help = "address of the server, path of the service's socket"},
{"port", 0, false, WITH(OPTION_UINT, "PORT"), .group = GROUP_SERVER, .commands = REMOTE,
	.offset = offsetof(struct job, port), .rpc = "ps.port", .help = "port of the page server"},
{"ps-socket", 0, false, FD(ps_socket), .group = GROUP_SERVER, .commands = REMOTE, .rpc = "ps.fd",
	.help = "a connected socket instead of address and port"},
{"daemon", 'd', false, FLAG(daemon), .group = GROUP_SERVER, .commands = SERVERS,
	.help = "go to the background when ready"},
{"status-fd", 0, false, FD(status_fd), .group = GROUP_SERVER, .commands = SERVERS | R | DP,
	.rpc = "status_fd", .help = "write a zero byte to FD when ready"},
{"tls", 0, false, FLAG(tls), .group = GROUP_SERVER, .commands = REMOTE, .rpc = "tls",
	.help = "encrypt what goes over the network"},
{"tls-cacert", 0, false, STRING(tls_cacert, "FILE"), .group = GROUP_SERVER, .commands = REMOTE,
	.rpc = "tls_cacert", .help = "trust this certificate authority alone"},
{"tls-cacrl", 0, false, STRING(tls_cacrl, "FILE"), .group = GROUP_SERVER, .commands = REMOTE,
	.rpc = "tls_cacrl", .help = "list of revoked certificates"},
{"tls-cert", 0, false, STRING(tls_cert, "FILE"), .group = GROUP_SERVER, .commands = REMOTE,
	.rpc = "tls_cert", .help = "our certificate"},
{"tls-key", 0, false, STRING(tls_key, "FILE"), .group = GROUP_SERVER, .commands = REMOTE,
	.rpc = "tls_key", .help = "our private key"},
{"tls-no-cn-verify", 0, false, FLAG(tls_no_cn_verify), .group = GROUP_SERVER,
	.commands = REMOTE, .rpc = "tls_no_cn_verify", .help = "do not compare the server's name"},

/* --- check --- */
{"extra", 0, true, FLAG(check_extra), .group = GROUP_CHECK, .commands = CMD_CHECK,
	.help = "also what only some trees need"},
{"experimental", 0, true, FLAG(check_experimental), .group = GROUP_CHECK, .commands = CMD_CHECK,
	.help = "also what nothing rests on yet"},
{"all", 0, true, FLAG(check_all), .group = GROUP_CHECK, .commands = CMD_CHECK,
	.help = "everything"},
{"feature", 0, true, LIST(features, "NAME"), .group = GROUP_CHECK, .commands = CMD_CHECK,
	.help = "only this one; list prints the names"},
{"kinds", 0, true, FLAG(check_kinds), .group = GROUP_CHECK, .commands = CMD_CHECK,
	.help = "print which kinds of kernel objects can be dumped and restored"},

/* --- logging and output --- */
{"log-file", 'o', true, STRING(log_file, "FILE"), .group = GROUP_LOGGING, .commands = CMD_ALL,
	.rpc = "log_file", .help = "log to FILE, relative to the work directory (default: stderr)"},
{"verbosity", 'v', true, CUSTOM(option_set_verbosity, ARGUMENT_OPTIONAL, "N"),
	.group = GROUP_LOGGING, .commands = CMD_ALL, .rpc = "log_level",
	.help = "0 nothing, 1 errors, 2 warnings (default), 3 information, 4 everything; -v: one more"},
{"log-pid", 0, false, FLAG(log_pid), .group = GROUP_LOGGING, .commands = R,
	.help = "a log file for each task"},
{"display-stats", 0, true, FLAG(display_stats), .group = GROUP_LOGGING, .commands = DP | R,
	.rpc = "display_stats", .help = "print statistics at the end"},
{"json", 0, true, FLAG(json), .group = GROUP_LOGGING, .commands = CMD_ALL,
	.help = "print the outcome as one JSON object"},
{"quiet", 'q', true, FLAG(quiet), .group = GROUP_LOGGING, .commands = CMD_ALL,
	.help = "no warnings on standard error"},
{"dry-run", 0, true, FLAG(dry_run), .group = GROUP_LOGGING, .commands = R,
	.help = "print what a restore would do, and touch nothing"},

/* --- configuration and help --- */
{"config", 0, true, WITH(OPTION_ACTION, "FILE"), .group = GROUP_PROGRAM, .commands = CMD_ALL,
	.action = ACTION_CONFIG, .rpc = "config_file", .help = "read options from FILE too"},
{"no-default-config", 0, true, .type = OPTION_ACTION, .group = GROUP_PROGRAM,
	.commands = CMD_ALL, .action = ACTION_NO_DEFAULTS,
	.help = "do not read the default configuration files"},
{"help", 'h', true, .type = OPTION_ACTION, .group = GROUP_PROGRAM, .commands = CMD_ALL,
	.action = ACTION_HELP, .help = "print this text, or that of a command"},
{"version", 'V', true, .type = OPTION_ACTION, .group = GROUP_PROGRAM, .commands = CMD_ALL,
	.action = ACTION_VERSION, .help = "print the version"},
};
/* clang-format on */

const size_t option_count = ARRAY_SIZE(option_table);

static const struct option_row *find(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (streq(option_table[i].name, name))
			return &option_table[i];
	return NULL;
}

const struct option_row *option_by_name(const char *name, bool *ret_on)
{
	const struct option_row *row = find(name);

	*ret_on = true;
	if (row || !starts_with(name, "no-"))
		return row;
	row = find(name + 3);
	if (!row || row->type != OPTION_FLAG)
		return NULL;
	*ret_on = false;
	return row;
}

const struct option_row *option_by_letter(char letter, unsigned command)
{
	const struct option_row *first = NULL;

	for (size_t i = 0; i < option_count; i++) {
		if (option_table[i].letter != letter || !letter)
			continue;
		if (option_table[i].commands & command)
			return &option_table[i];
		if (!first)
			first = &option_table[i];
	}
	return first;
}
