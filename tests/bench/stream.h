/*
 * What a stream of radgen.c is, and how the command line says it; the options stand in radgen.c.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/queue.h>
#include <sys/uio.h>
#include <unistd.h>
#include "packets.h"

enum { BATCH = 64 };

typedef struct slot {
	TAILQ_ENTRY(slot) entry; /* of the idle, or of the waiting in the order of their last sending */
	struct wire *wire;
	uint64_t first, last; /* sent, in ns */
	unsigned tries;
	bool busy; /* in the middle of a session */
	request_t request;
} slot_t;
TAILQ_HEAD(slots, slot);

typedef struct wire {
	struct stream *stream;
	int file;
	unsigned queued, free, next; /* next: where the longest unused of the `free` identifiers stands */
	uint8_t ids[256];
	slot_t *waiting[256];
	struct iovec queue[BATCH];
} wire_t;

typedef struct stream {
	cast_t cast;
	const char *kind, *host;
	unsigned auth, acct, outstanding, sockets, timeout, tries, copies, verify, spread;
	uint64_t count;
	double seconds, rate;
	wire_t *wire; /* `sockets` to the authentication port, then as many to the accounting port */
	struct slots idle, waiting;
	unsigned turn;
	uint64_t begun, ended, last_answer, in_window, due;
	uint64_t sent, answered, accepted, rejected, unexpected, lost, retransmits, strays, unproven, verified, signed_too;
	uint64_t starts, updates, stops, input, output, late;
	uint64_t people, sessions;
	uint32_t *latency; /* ns / 16 of each answer */
	size_t room;
} stream_t;

static void fail(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	fputs("radgen: ", stderr);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
	exit(2);
}

static void *zeroed(size_t count, size_t size)
{
	void *made = calloc(count, size);

	if (!made) fail("out of memory");
	return made;
}

typedef struct {
	char **words;
	int count;
} options_t;

static const char *text(options_t options, const char *name, const char *otherwise)
{
	size_t length = strlen(name);

	for (int i = 0; i < options.count; i++)
		if (!strncmp(options.words[i], name, length) && options.words[i][length] == '=')
			return options.words[i] + length + 1;
	return otherwise;
}

static double number(options_t options, const char *name, double otherwise)
{
	const char *value = text(options, name, NULL);
	char *end;
	double found = value ? strtod(value, &end) : otherwise;

	if (value && (!*value || *end || found < 0)) fail("%s=%s is no number", name, value);
	return found;
}

static unsigned positive(options_t options, const char *name, double otherwise)
{
	double found = number(options, name, otherwise);

	if (found < 1 || found > 1e9) fail("%s must be from 1 to 1000000000", name);
	return found;
}

static void refuse_unknown(options_t options)
{
	static const char known[] = " kind host auth acct tenants accounts devices only user password nas secret blocks "
				    "outstanding sockets timeout tries seconds count rate interims wrong copies verify spread tag ";

	for (int i = 0; i < options.count; i++) {
		char name[32];
		const char *value = strchr(options.words[i], '=');
		snprintf(name, sizeof name, " %.*s ", value ? (int)(value - options.words[i]) : 0, options.words[i]);
		if (!value || !strstr(known, name)) fail("'%s' is not understood", options.words[i]);
	}
}

static void read_blocks(cast_t *cast, const char *path)
{
	int file = open(path, O_RDONLY);
	ssize_t size = (ssize_t)cast->accounts * BLOCK;

	cast->blocks = zeroed(cast->accounts, BLOCK);
	if (file < 0 || read(file, cast->blocks, size) != size) fail("blocks=%s: %zd octets are wanted", path, size);
	close(file);
}

static void read_cast(cast_t *cast, options_t options)
{
	static const char *const kinds[] = { "pap", "chap", "mschapv2", "acct", "life" };
	const char *kind = text(options, "kind", "pap");
	char *tag = zeroed(1, 32);

	while (cast->kind <= LIFE && strcmp(kind, kinds[cast->kind])) cast->kind++;
	if (cast->kind > LIFE) fail("kind=%s is none", kind);
	snprintf(tag, 32, "%lx-%x", (long)time(NULL), getpid());
	cast->tag = text(options, "tag", tag);
	cast->user = text(options, "user", "u%a");
	cast->password = text(options, "password", "p%a");
	cast->tenants = positive(options, "tenants", 1);
	cast->accounts = positive(options, "accounts", 1);
	cast->devices = positive(options, "devices", cast->tenants);
	cast->only = number(options, "only", UINT32_MAX);
	cast->interims = number(options, "interims", 1);
	cast->wrong = number(options, "wrong", 0);
	if (cast->devices < cast->tenants) fail("each tenant needs a device");
	if (cast->only != UINT32_MAX && cast->only >= cast->tenants) fail("only=%u: there is no such tenant", cast->only);
	cast->device = zeroed(cast->devices, sizeof *cast->device);
	for (unsigned i = 0; i < cast->devices; i++) {
		device_t *device = &cast->device[i];
		expand(device->name, sizeof device->name, text(options, "nas", "nas-%d"), i % cast->tenants, i, 0);
		device->secret.length = expand(device->secret.text, sizeof device->secret.text,
					       text(options, "secret", "secret-%d"), i % cast->tenants, i, 0);
		hmac_set(&device->secret.hmac, device->secret.text, device->secret.length);
	}
	if (cast->kind == MSCHAPV2) read_blocks(cast, text(options, "blocks", ""));
}

static void read_stream(stream_t *stream, options_t options)
{
	refuse_unknown(options);
	read_cast(&stream->cast, options);
	stream->kind = text(options, "kind", "pap");
	stream->host = text(options, "host", "127.0.0.1");
	stream->auth = positive(options, "auth", 1812);
	stream->acct = positive(options, "acct", 1813);
	stream->outstanding = positive(options, "outstanding", 64);
	stream->sockets = positive(options, "sockets", 8);
	stream->timeout = positive(options, "timeout", 1000);
	stream->tries = positive(options, "tries", 3);
	stream->copies = positive(options, "copies", 1);
	stream->spread = number(options, "spread", 1);
	stream->verify = number(options, "verify", 16);
	stream->rate = number(options, "rate", 0);
	stream->count = number(options, "count", 0);
	stream->seconds = number(options, "seconds", stream->count ? 0 : 5);
}
