/*
 * radgen: a closed-loop RADIUS load generator. One thread, no library.
 *
 *     gcc -O2 -o radgen tests/bench/radgen.c
 *     radgen kind=pap tenants=100 accounts=1000 seconds=5
 *     radgen kind=pap only=0 tenants=100 wrong=1 rate=20000 outstanding=16384 + kind=pap only=1 tenants=100 rate=500
 *
 * A stream is a list of name=value; streams are divided by "+", run at the same time and are measured apart. A stream
 * keeps `outstanding` requests on their way, or sends `rate` a second as far as that leaves room. What is not answered
 * within `timeout` ms goes out again octet for octet, `tries` times in all, and is then lost. Prints one JSON list with
 * an object for each stream; exit status 1 when anything was lost, unproven or not answered as it should be. Latencies
 * in microseconds from the first sending; `busy` is the share of its core that the generator itself needed.
 *
 *     kind      pap, chap, mschapv2 (blocks=FILE of mschap.py): log-ins; acct: Start, Interims, Stop; life: PAP and these
 *     host auth acct                            where to (127.0.0.1 1812 1813)
 *     tenants accounts devices                  the data set (1 1, a device a tenant); only=T: as tenant T alone
 *     user password nas secret                  patterns with %t, %d, %a: tenant, device, account
 *     outstanding sockets timeout tries         64 8 1000 3
 *     seconds count rate                        end (5 s, when no count is given) and pace (0: as fast as answered)
 *     spread=0                                  tenant by tenant and not in an order that looks random
 *     interims                                  Interim-Updates of a session (1)
 *     wrong=1 copies=N                          wrong passwords; each request N times at once, octets unchanged
 *     verify                                    each n-th answer's authenticators are tested (16; 0: none)
 *     tag                                       the beginning of Acct-Session-Ids
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "stream.h"

static int epoll;

static uint64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000000000u + at.tv_nsec;
}

/* Sending */

static void flush(wire_t *wire)
{
	struct mmsghdr messages[BATCH] = { 0 };
	unsigned done = 0;

	for (unsigned i = 0; i < wire->queued; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &wire->queue[i], .msg_iovlen = 1 };
	while (done < wire->queued) {
		int sent = sendmmsg(wire->file, messages + done, wire->queued - done, 0);
		if (sent > 0) done += sent;
		else if (errno != ECONNREFUSED && errno != EINTR) done++; /* that one goes out again when its time is over */
	}
	wire->queued = 0;
}

static void send_slot(slot_t *slot)
{
	wire_t *wire = slot->wire;
	stream_t *stream = wire->stream;

	for (unsigned i = 0; i < stream->copies; i++) {
		wire->queue[wire->queued++] = (struct iovec){ slot->request.octets, slot->request.length };
		if (wire->queued == BATCH) flush(wire);
	}
	TAILQ_INSERT_TAIL(&stream->waiting, slot, entry);
}

static void flush_all(stream_t *stream)
{
	for (unsigned i = 0; i < 2 * stream->sockets; i++)
		if (stream->wire[i].queued) flush(&stream->wire[i]);
}

/* A person who has nothing to do yet: everybody once in a round, tenant by tenant or in an order that looks random. */
static void next_person(stream_t *stream, slot_t *slot)
{
	cast_t *cast = &stream->cast;
	request_t *request = &slot->request;
	bool one = cast->only != UINT32_MAX;
	uint64_t all = (uint64_t)cast->accounts * (one ? 1 : cast->tenants), share = cast->devices / cast->tenants;
	uint64_t person = stream->people++ % all * (stream->spread ? 2654435761u : 1) % all; /* a prime: a permutation */

	request->tenant = one ? cast->only : person / cast->accounts;
	request->account = person % cast->accounts;
	request->device = request->tenant + cast->tenants * (request->account % share);
	request->step = cast->kind == ACCT ? START : LOGIN;
	request->interims = request->class_length = 0;
	request->session = stream->sessions++;
	slot->busy = cast->kind >= ACCT;
}

static wire_t *free_wire(stream_t *stream, bool login)
{
	for (unsigned i = 0; i < stream->sockets; i++) {
		wire_t *wire = &stream->wire[stream->turn++ % stream->sockets + (login ? 0 : stream->sockets)];
		if (wire->free) return wire;
	}
	fail("no identifier is free");
	return NULL;
}

static void launch(stream_t *stream, uint64_t at)
{
	uint64_t most = stream->count ? stream->count - stream->sent : UINT64_MAX;
	slot_t *slot;

	if (stream->rate > 0) {
		uint64_t due = (at - stream->begun) * 1e-9 * stream->rate, behind = due - stream->due;
		if (behind > BATCH) { /* a generator that fell behind does not catch up by a flood */
			stream->late += behind - BATCH;
			stream->due = due - BATCH;
		}
		if (due - stream->due < most) most = due - stream->due;
	}
	while (most && (slot = TAILQ_FIRST(&stream->idle))) {
		request_t *request = &slot->request;
		TAILQ_REMOVE(&stream->idle, slot, entry);
		if (!slot->busy) next_person(stream, slot);
		slot->wire = free_wire(stream, request->step == LOGIN);
		request->id = slot->wire->ids[slot->wire->next];
		slot->wire->next = (slot->wire->next + 1) % 256;
		slot->wire->free--;
		slot->wire->waiting[request->id] = slot;
		if (request->step == LOGIN) build_login(&stream->cast, request);
		else build_accounting(&stream->cast, request);
		slot->first = slot->last = at;
		slot->tries = 1;
		send_slot(slot);
		stream->sent++;
		stream->due++;
		most--;
	}
	flush_all(stream);
}

/* Receiving */

static void put_back(slot_t *slot)
{
	wire_t *wire = slot->wire;
	stream_t *stream = wire->stream;

	wire->waiting[slot->request.id] = NULL;
	wire->ids[(wire->next + wire->free++) % 256] = slot->request.id;
	TAILQ_REMOVE(&stream->waiting, slot, entry);
	TAILQ_INSERT_TAIL(&stream->idle, slot, entry);
}

static void next_step(stream_t *stream, request_t *request, bool *busy)
{
	switch (request->step) {
	case LOGIN: request->step = START; return;
	case START: stream->starts++; break;
	case INTERIM: stream->updates++; request->interims++; break;
	case STOP:
		stream->stops++;
		stream->input += request->input;
		stream->output += request->output;
		*busy = false;
		return;
	}
	request->step = request->interims < stream->cast.interims ? INTERIM : STOP;
}

static void measure(stream_t *stream, uint64_t nanoseconds)
{
	if (stream->answered == stream->room) {
		stream->room = stream->room ? 2 * stream->room : 1 << 16;
		stream->latency = realloc(stream->latency, stream->room * sizeof *stream->latency);
		if (!stream->latency) fail("out of memory");
	}
	stream->latency[stream->answered++] = nanoseconds >> 36 ? UINT32_MAX : nanoseconds >> 4;
}

static void answered(wire_t *wire, const uint8_t *reply, size_t length, uint64_t at)
{
	stream_t *stream = wire->stream;
	slot_t *slot = length < 20 || (reply[2] << 8 | reply[3]) != (int)length ? NULL : wire->waiting[reply[1]];
	bool signed_too = false;

	if (!slot) {
		stream->strays++;
		return;
	}
	request_t *request = &slot->request;
	if (stream->verify && stream->answered % stream->verify == 0) {
		if (!proven(&stream->cast, request, reply, length, &signed_too)) {
			stream->unproven++;
			return;
		}
		stream->verified++;
		stream->signed_too += signed_too;
	}
	int wanted = request->step != LOGIN ? ACCOUNTING_RESPONSE : stream->cast.wrong ? ACCESS_REJECT : ACCESS_ACCEPT;
	stream->unexpected += reply[0] != wanted;
	stream->accepted += reply[0] == ACCESS_ACCEPT;
	stream->rejected += reply[0] == ACCESS_REJECT;
	measure(stream, at - slot->first);
	stream->last_answer = at;
	if (slot->busy) {
		if (request->step == LOGIN) keep_class(request, reply, length);
		if (reply[0] == wanted) next_step(stream, request, &slot->busy);
		else slot->busy = false;
	}
	put_back(slot);
}

static void receive(wire_t *wire)
{
	static uint8_t octets[BATCH][4096];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH] = { 0 };
	int got;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ octets[i], sizeof octets[i] };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	do {
		got = recvmmsg(wire->file, messages, BATCH, MSG_DONTWAIT, NULL);
		uint64_t at = now();
		for (int i = 0; i < got; i++) answered(wire, octets[i], messages[i].msg_len, at);
	} while (got == BATCH);
}

static void repeat_late(stream_t *stream, uint64_t at)
{
	slot_t *slot;

	while ((slot = TAILQ_FIRST(&stream->waiting)) && at > slot->last + stream->timeout * 1000000ull) {
		if (slot->tries == stream->tries) {
			stream->lost++;
			slot->busy = false;
			put_back(slot);
			continue;
		}
		TAILQ_REMOVE(&stream->waiting, slot, entry);
		slot->tries++;
		slot->last = at;
		stream->retransmits++;
		send_slot(slot);
	}
	flush_all(stream);
}

/* Beginning and end */

static void open_wire(stream_t *stream, wire_t *wire, unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = wire };
	int size = 8 << 20;

	if (inet_pton(AF_INET, stream->host, &to.sin_addr) != 1) fail("host takes an IPv4 address");
	wire->stream = stream;
	wire->free = 256;
	for (int i = 0; i < 256; i++) wire->ids[i] = i;
	wire->file = socket(AF_INET, SOCK_DGRAM, 0);
	if (setsockopt(wire->file, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
		setsockopt(wire->file, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (connect(wire->file, (struct sockaddr *)&to, sizeof to) || epoll_ctl(epoll, EPOLL_CTL_ADD, wire->file, &event))
		fail("%s: %s", stream->host, strerror(errno));
}

static void prepare(stream_t *stream)
{
	unsigned least = (stream->outstanding + 255) / 256;

	if (stream->sockets < least) stream->sockets = least;
	TAILQ_INIT(&stream->idle);
	TAILQ_INIT(&stream->waiting);
	slot_t *slots = zeroed(stream->outstanding, sizeof *slots);
	for (unsigned i = 0; i < stream->outstanding; i++) TAILQ_INSERT_TAIL(&stream->idle, &slots[i], entry);
	stream->wire = zeroed(2 * stream->sockets, sizeof *stream->wire);
	for (unsigned i = 0; i < stream->sockets; i++) {
		open_wire(stream, &stream->wire[i], stream->auth);
		open_wire(stream, &stream->wire[stream->sockets + i], stream->acct);
	}
}

/* The report */

static int ascending(const void *one, const void *other)
{
	uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;

	return (a > b) - (a < b);
}

static double microseconds(const stream_t *stream, double share)
{
	uint64_t at = stream->answered * share;

	return stream->answered ? stream->latency[at < stream->answered ? at : stream->answered - 1] * 0.016 : 0;
}

static bool report(stream_t *stream)
{
	double seconds = ((stream->count ? stream->last_answer : stream->ended) - stream->begun) * 1e-9;
	uint64_t counted = stream->count ? stream->answered : stream->in_window;

	if (stream->answered) qsort(stream->latency, stream->answered, sizeof *stream->latency, ascending);
	printf("{\"kind\": \"%s\", \"seconds\": %.6f, \"rate\": %.1f, ", stream->kind, seconds,
	       stream->answered && seconds > 0 ? counted / seconds : 0);
	printf("\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f", microseconds(stream, 0.5),
	       microseconds(stream, 0.9), microseconds(stream, 0.99), microseconds(stream, 1));
#define FIGURE(name) printf(", \"" #name "\": %llu", (unsigned long long)stream->name)
	FIGURE(sent); FIGURE(answered); FIGURE(accepted); FIGURE(rejected); FIGURE(unexpected); FIGURE(lost);
	FIGURE(retransmits); FIGURE(strays); FIGURE(verified); FIGURE(signed_too); FIGURE(unproven); FIGURE(late);
	FIGURE(starts); FIGURE(updates); FIGURE(stops); FIGURE(input); FIGURE(output);
	printf(", \"busy\": %.2f, \"tag\": \"%s\"}", clock() / (double)CLOCKS_PER_SEC / seconds, stream->cast.tag);
	return !stream->lost && !stream->unexpected && !stream->unproven;
}

/* Whether the stream sends no more, and waits for nothing. */
static bool finished(stream_t *stream, uint64_t at)
{
	bool full = stream->count && stream->sent >= stream->count;

	if (!stream->ended && (full || (stream->seconds > 0 && at - stream->begun >= stream->seconds * 1e9))) {
		stream->ended = at;
		stream->in_window = stream->answered;
	}
	return stream->ended && TAILQ_EMPTY(&stream->waiting);
}

static void play(stream_t *streams, int count)
{
	struct epoll_event events[BATCH];
	bool paced = false, done = false;
	uint64_t at = now();

	for (int i = 0; i < count; i++) {
		streams[i].begun = at;
		paced |= streams[i].rate > 0;
	}
	while (!done) {
		done = true;
		for (int i = 0; i < count; i++) {
			at = now();
			done &= finished(&streams[i], at);
			if (!streams[i].ended) launch(&streams[i], at);
		}
		/* a sleep would take longer than the pause between two packets */
		int ready = epoll_wait(epoll, events, BATCH, paced || done ? 0 : 1);
		for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
		for (int i = 0; i < count; i++) repeat_late(&streams[i], now());
	}
}

int main(int count, char **words)
{
	stream_t *streams = zeroed(count + 1, sizeof *streams);
	int found = 0, from = 1;
	bool well = true;

	epoll = epoll_create1(0);
	for (int i = 1; i <= count; i++) {
		if (i < count && strcmp(words[i], "+")) continue;
		read_stream(&streams[found], (options_t){ words + from, i - from });
		prepare(&streams[found++]);
		from = i + 1;
	}
	play(streams, found);
	for (int i = 0; i < found; i++) {
		fputs(i ? ",\n " : "[", stdout);
		well &= report(&streams[i]);
	}
	puts("]");
	return !well;
}
