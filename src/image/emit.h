#pragma once
/*
 * Printing of structured values, either as one line of JSON or as indented text.
 *
 * Not jansson: it has no unsigned 64-bit numbers, which images are full of, and it would build a
 * whole tree of what can be printed as it comes.
 */
#include <stdio.h>

#include "base/util.h"

struct emitter {
	FILE *out;
	bool json;
	unsigned depth;
	bool started; /* something has been printed */
	bool fresh; /* nothing printed yet at this level: no comma */
	bool keyed; /* a key has just been printed */
	bool in_line; /* inside a list of scalars, which text mode prints in one line */
};

void emit_key(struct emitter *emitter, const char *key);
void emit_object_begin(struct emitter *emitter);
void emit_object_end(struct emitter *emitter);
/* `scalars`: no objects inside. */
void emit_array_begin(struct emitter *emitter, bool scalars);
void emit_array_end(struct emitter *emitter, bool scalars);

/* What needs no quotes in JSON: numbers, true, false. */
void emit_number(struct emitter *emitter, const char *format, ...) _printf_(2, 3);
void emit_bool(struct emitter *emitter, bool value);
/* Text. Bytes that are not UTF-8 become "\udcXX" in JSON (Python's surrogateescape, which reads
 * them back) and "\xXX" in text. */
void emit_string(struct emitter *emitter, const void *data, size_t size);
/* Bytes: base64 in lines of 76, as crit prints them. */
void emit_base64(struct emitter *emitter, const void *data, size_t size);
/* Bytes that are mostly text: quoted-printable, which crit uses for socket names. */
void emit_quoted_printable(struct emitter *emitter, const void *data, size_t size);
