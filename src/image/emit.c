#include "image/emit.h"

#include <stdarg.h>

static int indent(const struct emitter *emitter)
{
	return emitter->depth > 1 ? (int)(emitter->depth - 1) * 2 : 0;
}

/* What stands before a value or a key: a comma, or a new line of text. */
static void separate(struct emitter *emitter, bool is_key)
{
	if (emitter->keyed && !is_key) {
		emitter->keyed = false;
		if (!emitter->json)
			fputc(' ', emitter->out);
		return;
	}
	if (emitter->json || emitter->in_line) {
		if (!emitter->fresh)
			fputs(", ", emitter->out);
	} else {
		fprintf(emitter->out, "%s%*s", emitter->started ? "\n" : "", indent(emitter), "");
		if (!is_key)
			fputs("- ", emitter->out);
	}
	emitter->fresh = false;
	emitter->started = true;
}

void emit_key(struct emitter *emitter, const char *key)
{
	separate(emitter, true);
	fprintf(emitter->out, emitter->json ? "\"%s\": " : "%s:", key);
	emitter->keyed = true;
}

static void open_level(struct emitter *emitter)
{
	emitter->depth++;
	emitter->fresh = true;
	emitter->keyed = false;
}

static void close_level(struct emitter *emitter)
{
	emitter->depth--;
	emitter->fresh = false;
}

void emit_object_begin(struct emitter *emitter)
{
	if (emitter->json) {
		separate(emitter, false);
		fputc('{', emitter->out);
	} else if (!emitter->keyed && emitter->depth) {
		fprintf(emitter->out, "\n%*s-", indent(emitter), "");
	}
	open_level(emitter);
}

void emit_object_end(struct emitter *emitter)
{
	close_level(emitter);
	if (emitter->json)
		fputc('}', emitter->out);
}

void emit_array_begin(struct emitter *emitter, bool scalars)
{
	if (emitter->json || scalars) {
		separate(emitter, false);
		fputc('[', emitter->out);
	}
	emitter->in_line = scalars;
	open_level(emitter);
}

void emit_array_end(struct emitter *emitter, bool scalars)
{
	close_level(emitter);
	emitter->in_line = false;
	if (emitter->json || scalars)
		fputc(']', emitter->out);
}

void emit_number(struct emitter *emitter, const char *format, ...)
{
	va_list ap;

	separate(emitter, false);
	va_start(ap, format);
	vfprintf(emitter->out, format, ap);
	va_end(ap);
}

void emit_bool(struct emitter *emitter, bool value)
{
	emit_number(emitter, "%s", value ? "true" : "false");
}

/* Decodes one UTF-8 character; returns its length, or 0 when there is none (RFC 3629). */
static size_t decode(const uint8_t *s, size_t size, uint32_t *ret_code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t code = length == 1 ? s[0] : s[0] & (0xffu >> (length + 1));

	if (!length || length > size || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret_code = code;
	return length;
}

static void print_json_code(FILE *out, uint32_t code)
{
	static const char escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (const char *e = escapes; *e; e += 2) {
		if ((uint32_t)*e == code) {
			fprintf(out, "\\%c", e[1]);
			return;
		}
	}
	if (code >= 0x20 && code < 0x7f)
		fputc((int)code, out);
	else if (code < 0x10000)
		fprintf(out, "\\u%04x", code);
	else
		fprintf(out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
			0xdc00 + ((code - 0x10000) & 0x3ff));
}

void emit_string(struct emitter *emitter, const void *data, size_t size)
{
	const uint8_t *s = data;

	separate(emitter, false);
	if (emitter->json)
		fputc('"', emitter->out);
	while (size) {
		uint32_t code;
		size_t length = decode(s, size, &code);

		if (emitter->json)
			print_json_code(emitter->out, length ? code : 0xdc00u + s[0]);
		else if (!length || code < 0x20 || code == 0x7f || (code >= 0x80 && code < 0xa0))
			for (size_t i = 0; i < MAX(length, 1u); i++)
				fprintf(emitter->out, "\\x%02x", s[i]);
		else
			fwrite(s, 1, length, emitter->out);
		s += MAX(length, 1u);
		size -= MAX(length, 1u);
	}
	if (emitter->json)
		fputc('"', emitter->out);
}

void emit_base64(struct emitter *emitter, const void *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *s = data;

	separate(emitter, false);
	if (emitter->json)
		fputc('"', emitter->out);
	for (size_t i = 0; i < size; i += 3) {
		size_t left = MIN(size - i, 3u);
		uint32_t bits = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) |
				(left > 2 ? s[i + 2] : 0);

		fputc(digits[bits >> 18], emitter->out);
		fputc(digits[bits >> 12 & 63], emitter->out);
		fputc(left > 1 ? digits[bits >> 6 & 63] : '=', emitter->out);
		fputc(left > 2 ? digits[bits & 63] : '=', emitter->out);
		/* 57 bytes fill a line; the last line ends too. */
		if (emitter->json && (i % 57 == 54 || i + 3 >= size))
			fputs("\\n", emitter->out);
	}
	if (emitter->json)
		fputc('"', emitter->out);
}

void emit_quoted_printable(struct emitter *emitter, const void *data, size_t size)
{
	const uint8_t *s = data;
	size_t column = 0;

	if (!emitter->json) {
		emit_string(emitter, data, size);
		return;
	}
	separate(emitter, false);
	fputc('"', emitter->out);
	for (size_t i = 0; i < size; i++) {
		/* White space may stand as it is, but not at the end of a line. */
		bool last = i + 1 == size || s[i + 1] == '\n';
		bool plain = (s[i] > ' ' && s[i] < 0x7f && s[i] != '=') ||
			     ((s[i] == ' ' || s[i] == '\t') && !last);
		size_t width = plain ? 1 : 3;

		if (column + width >= 76) {
			fputs("=\\n", emitter->out);
			column = 0;
		}
		if (!plain)
			fprintf(emitter->out, "=%02X", s[i]);
		else
			print_json_code(emitter->out, s[i]);
		column += width;
	}
	fputc('"', emitter->out);
}
