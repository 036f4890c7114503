/*
 * Octets of packets: attributes taken apart, requests proven, answers signed. wire.py says what the functions do, and is
 * what runs where nothing was compiled.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "md5.h"

enum { HEADER = 20, MOST = 4096, PROOF = 80, PROOF_LENGTH = 18 };

typedef struct {
	const uint8_t *octets;
	Py_ssize_t length;
} octets_t;

/* Whether the arguments are so many; sets TypeError. */
static int counted(Py_ssize_t count, Py_ssize_t wanted)
{
	if (count != wanted) PyErr_Format(PyExc_TypeError, "%zd arguments, not %zd", wanted, count);
	return count == wanted;
}

/* An argument's octets; sets TypeError. */
static int read_octets(PyObject *argument, octets_t *octets)
{
	if (!PyBytes_Check(argument)) {
		PyErr_SetString(PyExc_TypeError, "not bytes");
		return 0;
	}
	octets->octets = (const uint8_t *)PyBytes_AS_STRING(argument);
	octets->length = PyBytes_GET_SIZE(argument);
	return 1;
}

static int read_prepared(PyObject *argument, hmac_t *hmac)
{
	octets_t prepared;

	if (!read_octets(argument, &prepared)) return 0;
	if (prepared.length != sizeof *hmac) {
		PyErr_SetString(PyExc_ValueError, "not what prepared() answers");
		return 0;
	}
	memcpy(hmac, prepared.octets, sizeof *hmac);
	return 1;
}

static int same(const uint8_t one[16], const uint8_t other[16])
{
	uint8_t differs = 0; /* looked at to the end, so that the time tells nothing */

	for (int i = 0; i < 16; i++) differs |= one[i] ^ other[i];
	return !differs;
}

/* An attribute's value into `first`, or into `more` with its kind where it is not the first of that. */
static int keep(PyObject *first, PyObject *more, const uint8_t *attribute, int seen)
{
	PyObject *kind = PyLong_FromLong(attribute[0]);
	PyObject *value = PyBytes_FromStringAndSize((const char *)attribute + 2, attribute[1] - 2);
	PyObject *pair = kind && value && seen ? PyTuple_Pack(2, kind, value) : NULL;
	int kept = kind && value && (seen ? pair && PyList_Append(more, pair) == 0 : PyDict_SetItem(first, kind, value) == 0);

	Py_XDECREF(pair);
	Py_XDECREF(value);
	Py_XDECREF(kind);
	return kept;
}

/* Where the Message-Authenticator begins, 0 without one; -1 with an exception, or without one where it is malformed. */
static long walk(const uint8_t *octets, long end, PyObject *first, PyObject *more)
{
	uint8_t seen[256] = { 0 };
	long proof = 0;

	for (long at = HEADER; at < end;) {
		const uint8_t *attribute = octets + at;
		if (at + 2 > end || attribute[1] < 2 || at + attribute[1] > end) return -1;
		if (attribute[0] == PROOF) {
			if (proof || attribute[1] != PROOF_LENGTH) return -1;
			proof = at;
		}
		if (!keep(first, more, attribute, seen[attribute[0]])) return -1;
		seen[attribute[0]] = 1;
		at += attribute[1];
	}
	return proof;
}

static PyObject *split(PyObject *Py_UNUSED(self), PyObject *data)
{
	octets_t octets;

	if (!read_octets(data, &octets)) return NULL;
	long end = octets.length < HEADER ? 0 : octets.octets[2] << 8 | octets.octets[3];
	if (octets.length < HEADER) return PyUnicode_FromString("too_short");
	if (end < HEADER || end > MOST) return PyUnicode_FromString("bad_length");
	if (end > octets.length) return PyUnicode_FromString("too_short");

	PyObject *first = PyDict_New(), *more = PyList_New(0), *found = NULL;
	long proof = first && more ? walk(octets.octets, end, first, more) : -1;
	if (proof >= 0) found = Py_BuildValue("(lOOl)", end, first, more, proof);
	else if (!PyErr_Occurred()) found = PyUnicode_FromString("bad_attribute");
	Py_XDECREF(more);
	Py_XDECREF(first);
	return found;
}

static PyObject *digest(PyObject *Py_UNUSED(self), PyObject *data)
{
	octets_t octets;
	uint8_t made[16];
	md5_t md5;

	if (!read_octets(data, &octets)) return NULL;
	md5_start(&md5);
	md5_add(&md5, octets.octets, (size_t)octets.length);
	md5_end(&md5, made);
	return PyBytes_FromStringAndSize((const char *)made, 16);
}

static PyObject *prepared(PyObject *Py_UNUSED(self), PyObject *secret)
{
	octets_t octets;
	hmac_t hmac;

	if (!read_octets(secret, &octets)) return NULL;
	hmac_set(&hmac, octets.octets, (size_t)octets.length);
	return PyBytes_FromStringAndSize((const char *)&hmac, sizeof hmac);
}

static PyObject *mac(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
	octets_t data;
	uint8_t digest[16];
	hmac_t hmac;
	md5_t md5;

	if (!counted(count, 2) || !read_prepared(arguments[0], &hmac) || !read_octets(arguments[1], &data)) return NULL;
	hmac_start(&hmac, &md5);
	md5_add(&md5, data.octets, (size_t)data.length);
	hmac_end(&hmac, &md5, digest);
	return PyBytes_FromStringAndSize((const char *)digest, 16);
}

static PyObject *proves(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
	static const uint8_t zeros[16];
	octets_t raw, authenticator;
	uint8_t digest[16];
	hmac_t hmac;
	md5_t md5;

	if (!counted(count, 4) || !read_prepared(arguments[0], &hmac) || !read_octets(arguments[1], &raw)) return NULL;
	long at = PyLong_AsLong(arguments[2]);
	if (PyErr_Occurred() || !read_octets(arguments[3], &authenticator)) return NULL;
	if (at < HEADER || at + PROOF_LENGTH > raw.length || (authenticator.length && authenticator.length != 16)) {
		PyErr_SetString(PyExc_ValueError, "no place of a Message-Authenticator, or no authenticator");
		return NULL;
	}
	hmac_start(&hmac, &md5);
	md5_add(&md5, raw.octets, 4);
	md5_add(&md5, authenticator.length ? authenticator.octets : raw.octets + 4, 16);
	md5_add(&md5, raw.octets + HEADER, (size_t)(at + 2 - HEADER));
	md5_add(&md5, zeros, 16);
	md5_add(&md5, raw.octets + at + PROOF_LENGTH, (size_t)(raw.length - at - PROOF_LENGTH));
	hmac_end(&hmac, &md5, digest);
	return PyBool_FromLong(same(digest, raw.octets + at + 2));
}

static PyObject *signs(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
	static const uint8_t zeros[16];
	octets_t secret, raw;
	uint8_t digest[16];
	md5_t md5;

	if (!counted(count, 2) || !read_octets(arguments[0], &secret) || !read_octets(arguments[1], &raw)) return NULL;
	if (raw.length < HEADER) {
		PyErr_SetString(PyExc_ValueError, "no packet");
		return NULL;
	}
	md5_start(&md5);
	md5_add(&md5, raw.octets, 4);
	md5_add(&md5, zeros, 16);
	md5_add(&md5, raw.octets + HEADER, (size_t)(raw.length - HEADER));
	md5_add(&md5, secret.octets, (size_t)secret.length);
	md5_end(&md5, digest);
	return PyBool_FromLong(same(digest, raw.octets + 4));
}

/* The Message-Authenticator into its place, then the Response Authenticator in place of the request's one. */
static void sign(uint8_t *reply, size_t length, const octets_t *secret, const hmac_t *hmac, int proven)
{
	md5_t md5;

	if (proven) {
		hmac_start(hmac, &md5);
		md5_add(&md5, reply, length);
		hmac_end(hmac, &md5, reply + HEADER + 2);
	}
	md5_start(&md5);
	md5_add(&md5, reply, length);
	md5_add(&md5, secret->octets, (size_t)secret->length);
	md5_end(&md5, reply + 4);
}

static PyObject *answer(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
	octets_t secret, request, attributes;
	hmac_t hmac;

	if (!counted(count, 6)) return NULL;
	long code = PyLong_AsLong(arguments[0]);
	if (PyErr_Occurred() || !read_octets(arguments[1], &request) || !read_octets(arguments[2], &secret) ||
	    !read_prepared(arguments[3], &hmac) || !read_octets(arguments[4], &attributes))
		return NULL;
	int proven = PyObject_IsTrue(arguments[5]);
	Py_ssize_t head = HEADER + (proven ? PROOF_LENGTH : 0), length = head + attributes.length;
	if (length > MOST || request.length < HEADER || code < 0 || code > 255) {
		PyErr_SetString(PyExc_ValueError, length > MOST ? "reply too long" : "no request, or no code");
		return NULL;
	}
	PyObject *made = PyBytes_FromStringAndSize(NULL, length);
	if (made == NULL) return NULL;
	uint8_t *reply = (uint8_t *)PyBytes_AS_STRING(made);
	memcpy(reply, (uint8_t[4]){ (uint8_t)code, request.octets[1], (uint8_t)(length >> 8), (uint8_t)length }, 4);
	memcpy(reply + 4, request.octets + 4, 16);
	memset(reply + HEADER, 0, (size_t)(head - HEADER));
	if (proven) memcpy(reply + HEADER, (uint8_t[2]){ PROOF, PROOF_LENGTH }, 2);
	memcpy(reply + head, attributes.octets, (size_t)attributes.length);
	sign(reply, (size_t)length, &secret, &hmac, proven);
	return made;
}

static PyObject *uncover(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
	octets_t hidden, secret, start;
	uint8_t mask[16];
	md5_t md5;

	if (!counted(count, 3) || !read_octets(arguments[0], &hidden) || !read_octets(arguments[1], &secret) ||
	    !read_octets(arguments[2], &start))
		return NULL;
	PyObject *made = PyBytes_FromStringAndSize(NULL, hidden.length);
	if (made == NULL) return NULL;
	uint8_t *plain = (uint8_t *)PyBytes_AS_STRING(made);
	for (Py_ssize_t i = 0; i < hidden.length; i++) {
		if (i % 16 == 0) {
			md5_start(&md5);
			md5_add(&md5, secret.octets, (size_t)secret.length);
			if (i) md5_add(&md5, hidden.octets + i - 16, 16);
			else md5_add(&md5, start.octets, (size_t)start.length);
			md5_end(&md5, mask);
		}
		plain[i] = hidden.octets[i] ^ mask[i % 16];
	}
	return made;
}

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

static PyMethodDef methods[] = {
	{"split", split, METH_O, NULL},
	{"digest", digest, METH_O, NULL},
	{"prepared", prepared, METH_O, NULL},
	{"mac", FAST(mac), NULL},
	{"proves", FAST(proves), NULL},
	{"signs", FAST(signs), NULL},
	{"answer", FAST(answer), NULL},
	{"uncover", FAST(uncover), NULL},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT, .m_name = "wire", .m_doc = "See wire.py.", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit_wire(void)
{
	return PyModule_Create(&module);
}
