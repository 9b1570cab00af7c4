#!/usr/bin/env bash
# Prints the path of a Python with Playwright, for scripts/web-ui-check, and sees to it that there is a Chromium: where none is
# in PATH it installs Debian's as root. Playwright's own download of a browser is not asked for.
set -euo pipefail

if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "browser: installing chromium, once" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >&2
fi
"$(dirname "$0")/test-env.sh" browser
