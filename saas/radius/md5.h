/*
 * MD5 (RFC 1321) and HMAC-MD5 (RFC 2104), which every packet of RADIUS takes several times: without a library, whose
 * calls cost more than what they do to so few octets.
 */
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "MD5 reads its words as they lie in memory: little-endian machines only"
#endif

typedef struct {
	uint32_t state[4];
	uint64_t octets;
	uint8_t rest[64];
} md5_t;

static const uint32_t md5_sines[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
	0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
	0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
	0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
	0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const uint8_t md5_turns[4][4] = { { 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 } };

static void md5_block(uint32_t state[4], const uint8_t *octets)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], word[16];

	memcpy(word, octets, 64);
#pragma GCC unroll 64
	for (int i = 0; i < 64; i++) {
		int round = i / 16, at = round == 0 ? i : round == 1 ? 5 * i + 1 : round == 2 ? 3 * i + 5 : 7 * i;
		uint32_t mixed = round == 0 ? (b & c) | (~b & d)
			       : round == 1 ? (d & b) | (~d & c)
			       : round == 2 ? b ^ c ^ d : c ^ (b | ~d);
		int turn = md5_turns[round][i % 4];
		mixed += a + md5_sines[i] + word[at % 16];
		a = d;
		d = c;
		c = b;
		b += mixed << turn | mixed >> (32 - turn);
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
}

static void md5_start(md5_t *md5)
{
	*md5 = (md5_t){ .state = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 } };
}

static void md5_add(md5_t *md5, const void *data, size_t length)
{
	const uint8_t *octets = data;

	while (length) {
		size_t have = md5->octets % 64, part = length < 64 - have ? length : 64 - have;
		memcpy(md5->rest + have, octets, part);
		if (have + part == 64) md5_block(md5->state, md5->rest);
		md5->octets += part;
		octets += part;
		length -= part;
	}
}

static void md5_end(md5_t *md5, uint8_t digest[16])
{
	static const uint8_t padding[64] = { 0x80 };
	uint64_t bits = md5->octets * 8;

	md5_add(md5, padding, 1 + (119 - md5->octets % 64) % 64);
	md5_add(md5, &bits, 8);
	memcpy(digest, md5->state, 16);
}

/* What HMAC makes of a key once for all: the states of MD5 behind the padded key, inside and outside. */
typedef struct {
	uint32_t inner[4], outer[4];
} hmac_t;

static void hmac_pad(uint32_t state[4], const uint8_t key[64], uint8_t with)
{
	uint8_t pad[64];
	md5_t md5;

	for (int i = 0; i < 64; i++) pad[i] = key[i] ^ with;
	md5_start(&md5);
	md5_add(&md5, pad, 64);
	memcpy(state, md5.state, 16);
}

static void hmac_set(hmac_t *hmac, const void *key, size_t length)
{
	uint8_t padded[64] = { 0 };
	md5_t md5;

	if (length > 64) {
		md5_start(&md5);
		md5_add(&md5, key, length);
		md5_end(&md5, padded);
	} else {
		memcpy(padded, key, length);
	}
	hmac_pad(hmac->inner, padded, 0x36);
	hmac_pad(hmac->outer, padded, 0x5c);
}

static void hmac_start(const hmac_t *hmac, md5_t *md5)
{
	memcpy(md5->state, hmac->inner, 16);
	md5->octets = 64;
}

static void hmac_end(const hmac_t *hmac, md5_t *md5, uint8_t digest[16])
{
	md5_end(md5, digest);
	memcpy(md5->state, hmac->outer, 16);
	md5->octets = 64;
	md5_add(md5, digest, 16);
	md5_end(md5, digest);
}
