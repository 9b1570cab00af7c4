#!/usr/bin/env bash
# Prints the path of a Python with what scripts/NAME-requirements.txt names: `test-env.sh NAME`. It is that of the repository's own
# .test-env/NAME, which is made on first use.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
requirements=scripts/$name-requirements.txt
folder=.test-env/$name
python=$PWD/$folder/bin/python
say() { echo "$name: $*" >&2; }

# Debian keeps what makes environments in a package of its own.
can_make() { command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null; }

if ! cmp -s "$requirements" "$folder/installed"; then
    say "making $folder, once"
    if ! can_make && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; } >&2
    fi
    if ! can_make; then
        say "not installed: it takes python3 with venv (sudo apt-get install python3-venv)"
        exit 1
    fi
    python3 -m venv --clear "$folder"
    if ! "$python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2; then
        say "not installed: see pip's words above; $requirements takes $(python3 --version) and a package index"
        exit 1
    fi
    cp "$requirements" "$folder/installed"
fi
echo "$python"
