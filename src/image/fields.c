#include "image/fields.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

static const struct field_word prot_words[] = {{1, "read"}, {2, "write"}, {4, "exec"}, {}};
static const struct field_word map_words[] = {{0x1, "shared"}, {0x2, "private"},
	{0x20, "anonymous"}, {0x100, "growsdown"}, {0x2000, "locked"}, {0x4000, "noreserve"},
	{0x40000, "hugetlb"}, {0x100000, "droppable"}, {}};
static const struct field_word status_words[] = {{1, "regular"}, {2, "stack"}, {4, "vsyscall"},
	{8, "vdso"}, {0x20, "heap"}, {0x40, "file-private"}, {0x80, "file-shared"},
	{0x100, "anon-shared"}, {0x200, "anon-private"}, {0x400, "sysv-ipc"}, {0x800, "socket"},
	{0x1000, "vvar"}, {0x2000, "aio-ring"}, {0x4000, "memfd"}, {0x8000, "shadow-stack"},
	{0x10000, "guard"}, {0x20000, "uprobes"}, {UINT64_C(1) << 27, "plugin"},
	{UINT64_C(1) << 31, "never-written"}, {}};
static const struct field_word page_words[] = {{1, "in-parent"}, {2, "lazy"}, {4, "present"}, {}};
static const struct field_word open_words[] = {{1, "wronly"}, {2, "rdwr"}, {02000, "append"},
	{04000, "nonblock"}, {010000, "dsync"}, {020000, "async"}, {040000, "direct"},
	{0100000, "largefile"}, {0200000, "directory"}, {0400000, "nofollow"},
	{01000000, "noatime"}, {02000000, "cloexec"}, {010000000, "path"}, {}};
static const struct field_word seal_words[] = {{1, "seal"}, {2, "shrink"}, {4, "grow"},
	{8, "write"}, {16, "future-write"}, {32, "exec"}, {}};
static const struct field_word family_words[] = {
	{1, "unix"}, {2, "inet"}, {10, "inet6"}, {16, "netlink"}, {17, "packet"}, {}};
static const struct field_word type_words[] = {
	{1, "stream"}, {2, "dgram"}, {3, "raw"}, {5, "seqpacket"}, {10, "packet"}, {}};
static const struct field_word proto_words[] = {{0, "ip"}, {1, "icmp"}, {6, "tcp"}, {17, "udp"},
	{58, "icmpv6"}, {132, "sctp"}, {136, "udplite"}, {255, "raw"}, {}};
static const struct field_word state_words[] = {{1, "established"}, {2, "syn-sent"},
	{3, "syn-recv"}, {4, "fin-wait1"}, {5, "fin-wait2"}, {6, "time-wait"}, {7, "close"},
	{8, "close-wait"}, {9, "last-ack"}, {10, "listen"}, {11, "closing"}, {}};
static const struct field_word task_words[] = {
	{1, "alive"}, {2, "dead"}, {3, "stopped"}, {6, "zombie"}, {}};
static const struct field_word lock_kind_words[] = {
	{1, "posix"}, {2, "flock"}, {4, "ofd"}, {8, "lease"}, {}};

/* The first row that matches counts. */
static const struct field_hint hints[] = {
	{"vma_entry", "prot", FIELD_WORDS, prot_words},
	{"vma_entry", "flags", FIELD_WORDS, map_words},
	{"vma_entry", "status", FIELD_WORDS, status_words},
	{"vma_entry", "start", FIELD_HEX},
	{"vma_entry", "end", FIELD_HEX},
	{"vma_entry", "pgoff", FIELD_HEX},
	{"vma_entry", "madv", FIELD_HEX},
	{"vma_entry", "fdflags", FIELD_WORDS, open_words},
	{"pagemap_entry", "vaddr", FIELD_HEX},
	{"pagemap_entry", "flags", FIELD_WORDS, page_words},
	{"user_x86_regs_entry", "mode", FIELD_PLAIN},
	{"task_core_entry", "task_state", FIELD_NAME, task_words},
	{"file_lock_entry", "flag", FIELD_NAME, lock_kind_words},
	{"memfd_inode_entry", "seals", FIELD_WORDS, seal_words},
	{"inet_sk_entry", "family", FIELD_NAME, family_words},
	{"inet_sk_entry", "type", FIELD_NAME, type_words},
	{"inet_sk_entry", "proto", FIELD_NAME, proto_words},
	{"inet_sk_entry", "state", FIELD_NAME, state_words},
	{"inet_sk_entry", "src_addr", FIELD_IPV4},
	{"inet_sk_entry", "dst_addr", FIELD_IPV4},
	{"unix_sk_entry", "type", FIELD_NAME, type_words},
	{"unix_sk_entry", "state", FIELD_NAME, state_words},
	{"unix_sk_entry", "uflags", FIELD_HEX},
	{"unix_sk_entry", "name", FIELD_PRINTABLE},
	{"sa_entry", "mask", FIELD_HEX},
	{"sa_entry", "flags", FIELD_HEX},
	{"sa_entry", "sigaction", FIELD_HEX},
	{"sa_entry", "restorer", FIELD_HEX},
	{"thread_sas_entry", "ss_sp", FIELD_HEX},
	{"rseq_entry", "rseq_abi_pointer", FIELD_HEX},
	{"rseq_entry", "signature", FIELD_HEX},
	{"mnt_entry", "root_dev", FIELD_DEVICE},
	{"mnt_entry", "flags", FIELD_HEX},
	{"mnt_entry", "sb_flags", FIELD_HEX},
	{"tun_link_entry", "flags", FIELD_HEX},
	{"net_device_entry", "flags", FIELD_HEX},
	{"sit_entry", "local", FIELD_IPV4},
	{"sit_entry", "remote", FIELD_IPV4},
	{"fdinfo_entry", "flags", FIELD_HEX},
	{"task_core_entry", "flags", FIELD_HEX},
	{"signalfd_entry", "sigmask", FIELD_HEX},
	{NULL, "flags", FIELD_WORDS, open_words},
	{NULL, "mode", FIELD_OCTAL},
	{NULL, "umask", FIELD_OCTAL},
	{NULL, "dev", FIELD_DEVICE},
	{NULL, "rdev", FIELD_DEVICE},
	{NULL, "s_dev", FIELD_DEVICE},
	{NULL, "mask", FIELD_HEX},
	{NULL, "ignored_mask", FIELD_HEX},
	{NULL, "events", FIELD_HEX},
	{NULL, "blk_sigset", FIELD_HEX},
	{NULL, "futex_rla", FIELD_HEX},
	{NULL, "clear_tid_addr", FIELD_HEX},
	{NULL, "cap_inh", FIELD_HEX},
	{NULL, "cap_prm", FIELD_HEX},
	{NULL, "cap_eff", FIELD_HEX},
	{NULL, "cap_bnd", FIELD_HEX},
	{NULL, "cap_amb", FIELD_HEX},
};

static bool is_address(const char *message, const char *field)
{
	return streq(message, "user_x86_regs_entry") || streq(message, "user_aarch64_regs_entry") ||
	       (streq(message, "mm_entry") && starts_with(field, "mm_"));
}

const struct field_hint *field_hint(const char *message, const char *field)
{
	static const struct field_hint address = {.format = FIELD_HEX};

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		const struct field_hint *hint = &hints[i];

		if (streq(hint->field, field) && (!hint->message || streq(hint->message, message)))
			return hint;
	}
	return is_address(message, field) ? &address : NULL;
}

static void print_words(
	const struct field_word *words, uint64_t value, char *ret_text, unsigned long size)
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (; words->word; words++) {
		if (!(value & words->value))
			continue;
		used += (size_t)snprintf(
			ret_text + used, size - used, "%s%s", used ? " | " : "", words->word);
		value &= ~words->value;
	}
	if (value || !used)
		snprintf(ret_text + used, size - used, "%s0x%" PRIx64, used ? " | " : "", value);
}

bool field_print(const struct field_hint *hint, uint64_t value, char *ret_text, unsigned long size)
{
	uint32_t word = (uint32_t)value;

	switch (hint ? hint->format : FIELD_PLAIN) {
	case FIELD_HEX:
		snprintf(ret_text, size, "0x%" PRIx64, value);
		return true;
	case FIELD_OCTAL:
		snprintf(ret_text, size, "0%" PRIo64, value);
		return true;
	case FIELD_DEVICE:
		snprintf(ret_text, size, "%u:%u", word >> 20, word & 0xfffff);
		return true;
	case FIELD_WORDS:
		print_words(hint->words, value, ret_text, size);
		return true;
	case FIELD_NAME:
		for (const struct field_word *w = hint->words; w->word; w++) {
			if (w->value != value)
				continue;
			snprintf(ret_text, size, "%s", w->word);
			return true;
		}
		return false;
	case FIELD_IPV4:
		return inet_ntop(AF_INET, &word, ret_text, (socklen_t)size) != NULL;
	default:
		break;
	}
	/* Numbers that large are addresses or masks. */
	if (value >> 32)
		snprintf(ret_text, size, "0x%" PRIx64, value);
	return value >> 32;
}
