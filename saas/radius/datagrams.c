/*
 * Datagrams of a UDP socket, as many at a time as there are: recvmmsg(2) and sendmmsg(2). datagrams.py says what the
 * functions do, and is what runs where nothing was compiled.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { AT_ONCE = 64, DATAGRAM = 4097, CONTROL = 64 };

typedef union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} address_t;

typedef union {
	struct cmsghdr head;
	char octets[CONTROL];
} control_t;

/* One call's messages. Python holds its lock meanwhile, so one set serves all. */
static struct mmsghdr messages[AT_ONCE];
static struct iovec parts[AT_ONCE];
static address_t addresses[AT_ONCE];
static control_t controls[AT_ONCE];
static char buffers[AT_ONCE][DATAGRAM];

static void prepare(int i, void *octets, size_t length)
{
	parts[i] = (struct iovec){.iov_base = octets, .iov_len = length};
	messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &addresses[i], .msg_iov = &parts[i], .msg_iovlen = 1}};
}

/* What the kernel tells of the address that was asked, as sendmsg takes it back; a new reference, or Py_None. */
static PyObject *told(struct msghdr *message)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
		if ((head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_PKTINFO) ||
		    (head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_PKTINFO)) {
			Py_ssize_t length = (Py_ssize_t)(head->cmsg_len - CMSG_LEN(0));
			return Py_BuildValue("(iiy#)", head->cmsg_level, head->cmsg_type, CMSG_DATA(head), length);
		}
	}
	Py_RETURN_NONE;
}

/*
 * Most datagrams come from where others came from a moment ago, and go back there: what an address is called is kept.
 * Two tables that forget by being overwritten, by the address and by the object.
 */
enum { KEPT = 4096 };
static struct {
	struct sockaddr_in address;
	PyObject *tuple;
} kept[KEPT];
static uint16_t kept_at[KEPT];

static unsigned place_of(const struct sockaddr_in *address)
{
	return ((address->sin_addr.s_addr ^ (uint32_t)address->sin_port << 15) * 2654435761u) >> 20;
}

static unsigned place_of_object(const PyObject *object)
{
	return (unsigned)((uintptr_t)object >> 4) % KEPT;
}

/* (host, port) of an IPv4 address; a new reference. */
static PyObject *place(const struct sockaddr_in *from)
{
	unsigned at = place_of(from);
	char host[INET_ADDRSTRLEN];

	if (!kept[at].tuple || kept[at].address.sin_addr.s_addr != from->sin_addr.s_addr ||
	    kept[at].address.sin_port != from->sin_port) {
		inet_ntop(AF_INET, &from->sin_addr, host, sizeof host);
		PyObject *made = Py_BuildValue("(si)", host, ntohs(from->sin_port));
		if (made == NULL) return NULL;
		Py_XSETREF(kept[at].tuple, made);
		kept[at].address = *from;
		kept_at[place_of_object(made)] = (uint16_t)at;
	}
	return Py_NewRef(kept[at].tuple);
}

static PyObject *source(int i)
{
	char host[INET6_ADDRSTRLEN];
	address_t *from = &addresses[i];
	int six = from->any.sa_family == AF_INET6;
	int port = ntohs(six ? from->v6.sin6_port : from->v4.sin_port);

	if (!six && !messages[i].msg_hdr.msg_controllen) return place(&from->v4);
	inet_ntop(from->any.sa_family, six ? (void *)&from->v6.sin6_addr : (void *)&from->v4.sin_addr, host, sizeof host);
	PyObject *info = told(&messages[i].msg_hdr);
	if (info == NULL) return NULL;
	if (info != Py_None) return Py_BuildValue("(siN)", host, port, info);
	Py_DECREF(info);
	if (!six) return Py_BuildValue("(si)", host, port);
	return Py_BuildValue("(siII)", host, port, ntohl(from->v6.sin6_flowinfo), from->v6.sin6_scope_id);
}

static PyObject *take(PyObject *Py_UNUSED(self), PyObject *args)
{
	PyObject *made;
	int most;

	if (!PyArg_ParseTuple(args, "Oi", &made, &most)) return NULL;
	int fd = PyObject_AsFileDescriptor(made);
	PyObject *found = fd < 0 ? NULL : PyList_New(0);
	int count = AT_ONCE;
	while (found && count == AT_ONCE && PyList_GET_SIZE(found) < most) {
		for (int i = 0; i < AT_ONCE; i++) {
			prepare(i, buffers[i], DATAGRAM);
			messages[i].msg_hdr.msg_namelen = sizeof addresses[i];
			messages[i].msg_hdr.msg_control = &controls[i];
			messages[i].msg_hdr.msg_controllen = sizeof controls[i];
		}
		count = recvmmsg(fd, messages, AT_ONCE, MSG_DONTWAIT, NULL);
		for (int i = 0; found && i < count; i++) {
			PyObject *from = source(i);
			PyObject *data = PyBytes_FromStringAndSize(buffers[i], (Py_ssize_t)messages[i].msg_len);
			PyObject *pair = data && from ? PyTuple_Pack(2, data, from) : NULL;
			if (pair == NULL || PyList_Append(found, pair) < 0) Py_CLEAR(found);
			Py_XDECREF(pair);
			Py_XDECREF(data);
			Py_XDECREF(from);
		}
	}
	return found;
}

/* A datagram made ready; false with an exception when it is no (octets, address), or no such address. */
static int make_ready(int i, PyObject *pair)
{
	PyObject *data, *address, *info = NULL;
	const char *host;
	unsigned int port, flow = 0, scope = 0;

	if (!PyTuple_Check(pair)) {
		PyErr_SetString(PyExc_TypeError, "not a datagram and its address");
		return 0;
	}
	if (!PyArg_ParseTuple(pair, "SO!", &data, &PyTuple_Type, &address)) return 0;
	prepare(i, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
	unsigned at = kept_at[place_of_object(address)];
	if (kept[at].tuple == address) {
		addresses[i].v4 = kept[at].address;
		messages[i].msg_hdr.msg_namelen = sizeof kept[at].address;
		return 1;
	}
	int parsed = PyTuple_GET_SIZE(address) == 3 ? PyArg_ParseTuple(address, "sIO!", &host, &port, &PyTuple_Type, &info)
						    : PyArg_ParseTuple(address, "sI|II", &host, &port, &flow, &scope);
	if (!parsed) return 0;

	address_t *to = &addresses[i];
	memset(to, 0, sizeof *to);
	if (inet_pton(AF_INET, host, &to->v4.sin_addr) == 1) {
		to->v4.sin_family = AF_INET;
		to->v4.sin_port = htons((unsigned short)port);
		messages[i].msg_hdr.msg_namelen = sizeof to->v4;
	} else if (inet_pton(AF_INET6, host, &to->v6.sin6_addr) == 1) {
		to->v6.sin6_family = AF_INET6;
		to->v6.sin6_port = htons((unsigned short)port);
		to->v6.sin6_flowinfo = htonl(flow);
		to->v6.sin6_scope_id = scope;
		messages[i].msg_hdr.msg_namelen = sizeof to->v6;
	} else {
		PyErr_SetString(PyExc_ValueError, "not an IP address");
		return 0;
	}
	if (info == NULL) return 1;

	int level, type;
	const char *octets;
	Py_ssize_t length;
	if (!PyArg_ParseTuple(info, "iiy#", &level, &type, &octets, &length)) return 0;
	if (CMSG_SPACE((size_t)length) > CONTROL) {
		PyErr_SetString(PyExc_ValueError, "control message too long");
		return 0;
	}
	controls[i].head = (struct cmsghdr){.cmsg_len = CMSG_LEN((size_t)length), .cmsg_level = level, .cmsg_type = type};
	memcpy(CMSG_DATA(&controls[i].head), octets, (size_t)length);
	messages[i].msg_hdr.msg_control = &controls[i];
	messages[i].msg_hdr.msg_controllen = CMSG_SPACE((size_t)length);
	return 1;
}

static PyObject *give(PyObject *Py_UNUSED(self), PyObject *args)
{
	PyObject *made, *outgoing;

	if (!PyArg_ParseTuple(args, "OO!", &made, &PyList_Type, &outgoing)) return NULL;
	int fd = PyObject_AsFileDescriptor(made);
	if (fd < 0) return NULL;
	for (Py_ssize_t first = 0; first < PyList_GET_SIZE(outgoing); first += AT_ONCE) {
		int count = 0;
		while (count < AT_ONCE && first + count < PyList_GET_SIZE(outgoing)) {
			if (!make_ready(count, PyList_GET_ITEM(outgoing, first + count))) return NULL;
			count++;
		}
		for (int sent = 0; sent < count;) {
			int done = sendmmsg(fd, messages + sent, (unsigned)(count - sent), MSG_DONTWAIT);
			sent += done > 0 ? done : 1; /* the kernel stops at one that it cannot take: that one is lost */
		}
	}
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{"take", take, METH_VARARGS, NULL},
	{"give", give, METH_VARARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT, .m_name = "datagrams", .m_doc = "See datagrams.py.", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit_datagrams(void)
{
	PyObject *made = PyModule_Create(&module);
	if (made) PyModule_AddIntConstant(made, "DATAGRAM", DATAGRAM);
	return made;
}
