#!/usr/bin/env bash
# Sees to it that a PostgreSQL server is installed, which the tracking store's tests start for themselves. As root it is
# installed; anybody else is asked, and without an answer the tests that need it are skipped by name.
set -euo pipefail

if command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    exit 0
fi
say() { echo "postgresql: $*" >&2; }
if ! command -v apt-get >/dev/null; then
    say "not installed, and there is no apt-get here: install it as this system does (macOS: brew install postgresql)"
    exit 0
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
    if [ ! -t 0 ]; then
        say "not installed: sudo apt-get install postgresql"
        exit 0
    fi
    read -r -p "The tests of the PostgreSQL store need it. Run 'sudo apt-get install postgresql'? [y/N] " answer
    [ "$answer" = y ] || exit 0
    as_root=(sudo)
fi
"${as_root[@]}" apt-get update -qq
# The tests make servers of their own: none has to run on this machine.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
