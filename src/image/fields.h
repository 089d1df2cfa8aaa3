#pragma once
/* How the values of fields read best: which are addresses, flags, devices, internet addresses. */
#include <stdbool.h>
#include <stdint.h>

enum field_format {
	FIELD_PLAIN,
	FIELD_HEX,
	FIELD_OCTAL,
	FIELD_DEVICE, /* as the kernel keeps it: major << 20 | minor */
	FIELD_WORDS, /* an or of named bits */
	FIELD_NAME, /* one of a few named values */
	FIELD_IPV4, /* one u32 in network order */
	FIELD_PRINTABLE,
};

struct field_word {
	uint64_t value;
	const char *word;
};

struct field_hint {
	const char *message; /* NULL: any */
	const char *field;
	enum field_format format;
	const struct field_word *words; /* ends with a NULL word */
};

/* NULL when there is nothing to say about it. */
const struct field_hint *field_hint(const char *message, const char *field);
/* Writes a value as its hint says. Returns false when it is better left a plain number. */
bool field_print(const struct field_hint *hint, uint64_t value, char *ret_text, unsigned long size);
