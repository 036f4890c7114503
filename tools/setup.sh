#!/usr/bin/env bash
# What the targets of the Makefile install, one step a call: python | node | vendor | debian | compile | mongo | bench
# Every step may be repeated; make calls it only when something it depends on has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*"; }
fail() { printf '!! %s\n' "$*" >&2; exit 1; }

# The command that may install Debian packages: "" for root, "sudo -n" where no password is asked; fails elsewhere.
privilege() {
    if [ "$(id -u)" = 0 ]; then echo ""
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then echo "sudo -n"
    else return 1; fi
}

install_debian() {
    local why="$1" as; shift
    command -v apt-get >/dev/null || fail "$why: install the equivalent of the Debian packages $* and repeat."
    as=$(privilege) || fail "$why: type 'sudo apt-get install $*' and repeat."
    say "Debian packages: $*"
    $as apt-get update -qq
    $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Those of the packages that are not there yet.
need_debian() {
    local why="$1" missing=() package status; shift
    for package in "$@"; do
        status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
        [ "$status" = "install ok installed" ] || missing+=("$package")
    done
    if [ ${#missing[@]} != 0 ]; then install_debian "$why" "${missing[@]}"; fi
}

find_python() {
    local name
    for name in python3.11 python3 python3.12 python3.13; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$name"; return; fi
    done
    fail "Python 3.11 or newer is needed and no python3.11 or python3 on the PATH is one."
}

make_venv() {
    local python; python=$(find_python)
    say "virtual environment: .venv ($("$python" --version))"
    # Debian keeps the module in a package of its own, without which 'venv' exists and cannot install pip.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        install_debian "Python's module venv is missing" python3-venv
    fi
    [ ! -L .venv ] || fail ".venv is a link: its owner's environment would be emptied. Remove the link and repeat."
    "$python" -m venv --clear .venv
    pwd -P > .venv/made-in
}

case "${1:-}" in
python)
    # The commands in a virtual environment hold its path, so one that was moved is made anew.
    [ "$(cat .venv/made-in 2>/dev/null)" = "$(pwd -P)" ] && .venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv
    say "Python packages: those of constraints.txt"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
    ;;
node)
    command -v npm >/dev/null || fail "Node.js 20 or newer with npm is needed and there is no npm on the PATH."
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ||
        fail "Node.js 20 or newer is needed; this is $(node --version)."
    say "npm packages: those of package-lock.json"
    npm ci --loglevel=error
    ;;
vendor)
    say "front end files: static/vendor"
    node tools/vendor.mjs
    ;;
debian)
    need_debian "the tests need Debian packages" chromium eapoltest fonts-noto-cjk freeradius-utils iproute2 \
        libcharon-extauth-plugins libcharon-extra-plugins libstrongswan-extra-plugins openvpn \
        openvpn-auth-radius radsecproxy strongswan-charon strongswan-swanctl
    ;;
compile)
    command -v gcc >/dev/null || install_debian "a C compiler is needed" gcc libc6-dev
    headers=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -e "$headers/Python.h" ] || install_debian "the headers of Python are needed" "$(basename "$headers")-dev"
    ;;
bench)
    need_debian "the bench needs a compiler and its peers" gcc libc6-dev freeradius freeradius-postgresql postgresql
    ;;
mongo)
    version=$(cat tools/mongo-version)
    command -v cargo >/dev/null ||
        fail "cargo (Rust 1.95 or newer) is needed to build SecantusDB's Rust server and is not on the PATH."
    missing=()
    for tool in cmake make cc; do
        command -v "$tool" >/dev/null || case "$tool" in cc) missing+=(gcc) ;; *) missing+=("$tool") ;; esac
    done
    if [ ${#missing[@]} != 0 ]; then install_debian "WiredTiger is built from C sources" "${missing[@]}"; fi
    say "SecantusDB's Rust server: secantus-mdb $version, with WiredTiger; cargo tells each crate that it compiles"
    "$(find_python)" tools/mongo_limit.py "$version" .tools/mongo
    # It declares the newest Rust and compiles with 1.95: hence the override.
    cargo build --manifest-path .tools/mongo/secantus-mdb/Cargo.toml --target-dir .tools/mongo/target \
        --release --bin secantusd-rs --ignore-rust-version
    mkdir -p .tools/bin
    mv .tools/mongo/target/release/secantusd-rs .tools/bin/
    rm -rf .tools/mongo
    ;;
*)
    fail "usage: tools/setup.sh python | node | vendor | debian | compile | mongo | bench"
    ;;
esac
