"""The engine: packets in, packets out. It reaches the domain through operations only, and a packet whose account is
known waits for no store.

    codec.py           the only door to pyrad: octets to Packet, names and values to attributes
    wire.py, wire.c    attributes taken apart, digests, signatures: the same in Python and in C, with md5.h
    authenticators.py  what proves a packet and hides a password; signed requests and replies
    methods.py         PAP, CHAP, MS-CHAPv1, MS-CHAPv2, MPPE keys: pure
    eap.py             EAP: the rounds of a login, sealed into State between them
    eap_mschapv2.py    the packets of EAP-MSCHAPv2: pure
    vendors.py         rates and identification in each vendor's attributes: pure; a vendor is a row of its table
    replies.py         what an accept grants, how a reject says no: pure
    tokens.py          the Class attribute: account and slot, signed
    stations.py        Calling-Station-Id in one spelling
    identify.py        whose packet is it: the devices of the pool, and the order in which they are tried
    devices.py         the pool's devices, as the store has them
    names.py           dynamic DNS names of devices
    server.py          sockets: batches of datagrams in, answers out
    datagrams.py, .c   many datagrams with one system call: the same in Python and in C
    gate.py            the way of a datagram up to its handler; the drop reasons
    duplicates.py      answers that are still remembered
    lanes.py           how much of a worker one tenant may take
    batches.py         work that waits for a store
    logins.py          accounts cached in the worker
    guard.py           wrong passwords, and when no more are tested
    auth.py            Access-Request
    acct.py            Accounting-Request
    radsec.py          RADIUS over TLS: who is let in, and whose request it is
    connections.py     one RadSec connection: packets in, answers out, requests of ours down it
    coa.py             Disconnect-Request and CoA-Request
    commands.py        what consoles ask of the pool
    counters.py        what was counted
    tracing.py         what is watched of a device or a user
    decoding.py        packets in words, secrets hidden: pure
    notes.py           refusals and unknown devices, for the consoles
    engine.py          one worker
    supervisor.py      the workers of this host, pool by pool
    client.py          a device played by us: self test, smoke story, tests
    dictionary/        the attributes
"""
