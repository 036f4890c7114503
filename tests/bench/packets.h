/*
 * What radgen.c sends: people, devices, and the attributes that a PPP access concentrator puts into its requests.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../../saas/radius/md5.h"

enum { ACCESS_REQUEST = 1, ACCESS_ACCEPT, ACCESS_REJECT, ACCOUNTING_REQUEST, ACCOUNTING_RESPONSE };
enum kind { PAP, CHAP, MSCHAPV2, ACCT, LIFE };
enum step { LOGIN, START, INTERIM, STOP };
enum { MOST = 1024, BLOCK = 82 }; /* octets of a request, and of one account's two MS-CHAPv2 attributes */

/* A shared secret with what HMAC makes of it. */
typedef struct {
	char text[64];
	size_t length;
	hmac_t hmac;
} secret_t;

typedef struct {
	char name[64];
	secret_t secret;
} device_t;

enum { REPORT_EVERY = 300 }; /* seconds between two reports of a session */

/* One stream's cast: account a of tenant t dials in at one of its tenant's devices. Device d is tenant d % tenants'. */
typedef struct {
	enum kind kind;
	unsigned interims;
	const char *user, *password, *tag;
	unsigned tenants, accounts, devices, only; /* `only`: every request is this tenant's; UINT32_MAX: any tenant's */
	bool wrong;
	device_t *device;
	uint8_t *blocks; /* MSCHAPV2: BLOCK octets an account */
} cast_t;

typedef struct {
	unsigned tenant, account, device;
	enum step step;
	unsigned interims; /* sent so far */
	uint64_t session, input, output;
	uint8_t id, class_length, class[253];
	size_t length;
	uint8_t octets[MOST];
} request_t;

static uint64_t random64(void) /* splitmix64: fresh, not secret */
{
	static uint64_t state;
	uint64_t z;

	if (!state) state = (uint64_t)time(NULL) << 20 ^ (uint64_t)clock();
	z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* A pattern with %t (tenant, 4 digits), %d (device, 4 digits), %a (account, 6 digits) filled in; its length. */
static size_t expand(char *to, size_t size, const char *pattern, unsigned tenant, unsigned device, unsigned account)
{
	char *at = to, *end = to + size - 8;

	for (; *pattern && at < end; pattern++) {
		if (*pattern != '%' || !pattern[1]) {
			*at++ = *pattern;
			continue;
		}
		pattern++;
		unsigned number = *pattern == 't' ? tenant : *pattern == 'd' ? device : account;
		int width = *pattern == 'a' ? 6 : 4;
		for (int i = width - 1; i >= 0; i--, number /= 10) at[i] = '0' + number % 10;
		at += width;
	}
	*at = 0;
	return at - to;
}

static uint8_t *put(uint8_t *at, uint8_t type, const void *value, size_t length)
{
	at[0] = type;
	at[1] = length + 2;
	memcpy(at + 2, value, length);
	return at + 2 + length;
}

static uint8_t *put_number(uint8_t *at, uint8_t type, uint32_t value)
{
	value = htonl(value);
	return put(at, type, &value, 4);
}

/* What says where it comes from: nine attributes. */
static uint8_t *put_place(uint8_t *at, const cast_t *cast, const request_t *request)
{
	const char *name = cast->device[request->device].name;
	unsigned number = request->tenant * 1000003u + request->account;
	char text[32];

	at = put_number(at, 4, 0x7f000001); /* NAS-IP-Address */
	at = put(at, 32, name, strlen(name)); /* NAS-Identifier */
	at = put_number(at, 5, request->account); /* NAS-Port */
	at = put_number(at, 61, 15); /* NAS-Port-Type Ethernet */
	at = put_number(at, 6, 2); /* Service-Type Framed */
	at = put_number(at, 7, 1); /* Framed-Protocol PPP */
	for (int i = 0; i < 6; i++) {
		uint8_t octet = i < 2 ? (uint8_t)(2 - i * 2) : number >> (8 * (5 - i));
		text[3 * i] = "0123456789ABCDEF"[octet >> 4];
		text[3 * i + 1] = "0123456789ABCDEF"[octet & 15];
		text[3 * i + 2] = ':';
	}
	at = put(at, 31, text, 17); /* Calling-Station-Id */
	at = put(at, 30, "internet", 8); /* Called-Station-Id */
	return put(at, 87, text, expand(text, sizeof text, "ether1-%a", 0, 0, request->account)); /* NAS-Port-Id */
}

static void prove(const secret_t *secret, const void *octets, size_t length, uint8_t digest[16])
{
	md5_t md5;

	hmac_start(&secret->hmac, &md5);
	md5_add(&md5, octets, length);
	hmac_end(&secret->hmac, &md5, digest);
}

static uint8_t *put_pap(uint8_t *at, const char *password, size_t length, const secret_t *secret, const uint8_t *salt)
{
	uint8_t hidden[64] = { 0 }, mask[16];
	size_t total = length ? (length + 15) / 16 * 16 : 16;

	memcpy(hidden, password, length);
	for (size_t i = 0; i < total; salt = hidden + i, i += 16) {
		md5_t md5;
		md5_start(&md5);
		md5_add(&md5, secret->text, secret->length);
		md5_add(&md5, salt, 16);
		md5_end(&md5, mask);
		for (int j = 0; j < 16; j++) hidden[i + j] ^= mask[j];
	}
	return put(at, 2, hidden, total);
}

static uint8_t *put_chap(uint8_t *at, const char *password, size_t length)
{
	uint64_t challenge[2] = { random64(), random64() };
	uint8_t response[17] = { (uint8_t)challenge[0] };
	md5_t md5;

	md5_start(&md5);
	md5_add(&md5, response, 1);
	md5_add(&md5, password, length);
	md5_add(&md5, challenge, 16);
	md5_end(&md5, response + 1);
	at = put(at, 3, response, 17);
	return put(at, 60, challenge, 16);
}

static uint8_t *put_mschapv2(uint8_t *at, const cast_t *cast, unsigned account)
{
	memcpy(at, cast->blocks + (size_t)account * BLOCK, BLOCK);
	if (cast->wrong) at[BLOCK - 1] ^= 1; /* the last octet of the NT response */
	return at + BLOCK;
}

static uint8_t *put_user(uint8_t *at, const cast_t *cast, const request_t *request)
{
	char name[64];
	size_t length = expand(name, sizeof name, cast->user, request->tenant, request->device, request->account);

	return put(at, 1, name, length);
}

static void set_length(request_t *request, const uint8_t *end)
{
	request->length = end - request->octets;
	request->octets[2] = request->length >> 8;
	request->octets[3] = request->length;
}

static void build_login(const cast_t *cast, request_t *request)
{
	const secret_t *secret = &cast->device[request->device].secret;
	uint64_t authenticator[2] = { random64(), random64() };
	uint8_t *octets = request->octets, *at = octets + 20;
	char password[48];
	size_t length = expand(password, sizeof password, cast->wrong ? "not-%a" : cast->password, request->tenant,
			       request->device, request->account);

	octets[0] = ACCESS_REQUEST;
	octets[1] = request->id;
	memcpy(octets + 4, authenticator, 16);
	at = put(at, 80, (uint8_t[16]){ 0 }, 16); /* Message-Authenticator: first, against CVE-2024-3596 */
	at = put_user(at, cast, request);
	if (cast->kind == CHAP) at = put_chap(at, password, length);
	else if (cast->kind == MSCHAPV2) at = put_mschapv2(at, cast, request->account);
	else at = put_pap(at, password, length, secret, octets + 4);
	set_length(request, put_place(at, cast, request));
	prove(secret, octets, request->length, octets + 22);
}

static void build_accounting(const cast_t *cast, request_t *request)
{
	static const uint8_t status[] = { [START] = 1, [INTERIM] = 3, [STOP] = 2 };
	const secret_t *secret = &cast->device[request->device].secret;
	uint8_t *octets = request->octets, *at = octets + 20;
	/* A session is played in a moment and says that it has lasted long: each report is late by what follows it. */
	unsigned reports = request->step == START ? 0 : request->interims + 1;
	unsigned delay = REPORT_EVERY * (cast->interims + 1 - reports);
	char session[64];
	md5_t md5;

	memset(octets, 0, 20);
	octets[0] = ACCOUNTING_REQUEST;
	octets[1] = request->id;
	at = put_number(at, 40, status[request->step]);
	at = put(at, 44, session, snprintf(session, sizeof session, "%s-%08lx", cast->tag, (long)request->session));
	at = put_user(at, cast, request);
	at = put_place(at, cast, request);
	at = put_number(at, 8, 0x0a000001u + request->account); /* Framed-IP-Address */
	at = put_number(at, 45, 1); /* Acct-Authentic RADIUS */
	at = put_number(at, 41, delay); /* Acct-Delay-Time */
	at = put_number(at, 55, time(NULL) - delay); /* Event-Timestamp */
	if (request->class_length) at = put(at, 25, request->class, request->class_length);
	if (reports) {
		request->input = 100000000ull * reports;
		request->output = 3000000000ull * reports; /* beyond 32 bits from the second report on */
		at = put_number(at, 46, REPORT_EVERY * reports); /* Acct-Session-Time */
		at = put_number(at, 42, request->input);
		at = put_number(at, 43, request->output);
		at = put_number(at, 52, request->input >> 32);
		at = put_number(at, 53, request->output >> 32);
		at = put_number(at, 47, request->input / 800);
		at = put_number(at, 48, request->output / 800);
	}
	if (request->step == STOP) at = put_number(at, 49, 1); /* Acct-Terminate-Cause User-Request */
	set_length(request, at);
	md5_start(&md5);
	md5_add(&md5, octets, request->length);
	md5_add(&md5, secret->text, secret->length);
	md5_end(&md5, octets + 4);
}

/* Whether a reply is the server's: its authenticator, and its Message-Authenticator where it has one (*signed_too). */
static bool proven(const cast_t *cast, const request_t *request, const uint8_t *reply, size_t length, bool *signed_too)
{
	const secret_t *secret = &cast->device[request->device].secret;
	uint8_t copy[4096], digest[16];
	md5_t md5;

	memcpy(copy, reply, length);
	memcpy(copy + 4, request->octets + 4, 16);
	md5_start(&md5);
	md5_add(&md5, copy, length);
	md5_add(&md5, secret->text, secret->length);
	md5_end(&md5, digest);
	if (memcmp(digest, reply + 4, 16)) return false;
	for (size_t at = 20; at + 2 <= length && copy[at + 1] >= 2 && at + copy[at + 1] <= length; at += copy[at + 1]) {
		if (copy[at] != 80 || copy[at + 1] != 18) continue;
		memset(copy + at + 2, 0, 16);
		prove(secret, copy, length, digest);
		*signed_too = true;
		return !memcmp(digest, reply + at + 2, 16);
	}
	return true;
}

/* Keep an Access-Accept's Class, as a device does for its accounting (RFC 2865 section 5.25). */
static void keep_class(request_t *request, const uint8_t *reply, size_t length)
{
	request->class_length = 0;
	for (size_t at = 20; at + 2 <= length && reply[at + 1] >= 2 && at + reply[at + 1] <= length; at += reply[at + 1]) {
		if (reply[at] != 25) continue;
		request->class_length = reply[at + 1] - 2;
		memcpy(request->class, reply + at + 2, request->class_length);
	}
}
