"""OpenPNS: a hosted multi-tenant service that runs VPN and broadband access businesses.

The map of the house; a new file goes where its sentence is.

    __main__.py     chooses what was compiled (compiled.py)
    commands.py     composition root: openpns web|radius|jobs|init|unlock|demo|verify|run; builds and wires, no logic
    launch.py       openpns run: the Procfile in the foreground, and the proof that it works
    compiled.py     the path of packets as machine code, where it was compiled
    config.py       typed settings from the environment; the only reader of os.environ
    embedded.py     the embedded stores of a data folder, as their users see them
    keeper.py       the process that starts, restarts and ends them
    values.py       ids, money, octets, addresses, clocks: pure
    errors.py       AppError and its kinds: codes and data, no wording, no HTTP
    tasks.py        ending asyncio tasks for certain
    hugepages.py    memory in huge pages
    i18n.py         message catalogue, dates, money and octets in the reader's language
    permissions.py  the permissions, and presets as sets of them
    schema.py       collections as data: fence, indexes, what may never change
    store.py        the only door to MongoDB: the fence, transactions, migrations
    migrations.py   changes to stored data that came with a version
    kv.py           the only door to Redis: sessions, limits, leases, streams, changes
    scripts.py      the connection on which Redis runs our scripts
    security.py     the door to cryptography: password hashes, sealed secrets, signatures
    certs.py        X.509 certificates: the second door to cryptography
    images.py       the only door to pictures that somebody uploads
    pdf.py          the only door to PDF
    pinyin.py       the only door to pypinyin: letters that stand for Chinese names
    qr.py           the only door to QR codes
    totp.py         the only door to one-time codes by time
    sheets.py       the only door to XLSX, and to CSV as people send it
    outbound.py     the only door to foreign servers: mail, webhooks, host names

    tenants/        the domain: one noun a file; document shape, form, operations
    radius/         the engine: packets in, packets out
    jobs/           time: thin loops over operations, one leader
    handlers/       HTTP: routes, pages, forms

Direction: commands -> handlers | radius | jobs -> tenants -> the doors (store to outbound) -> values, errors.
The three fronts never import one another; they meet in operations.
"""

__version__ = "0.1.0"
