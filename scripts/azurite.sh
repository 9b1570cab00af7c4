#!/usr/bin/env bash
# Puts Azurite, Microsoft's emulator of Azure's blobs, and Microsoft's client into .test-env/azurite, on first use (needs Node's npm).
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(azurite@3.35.0 @azure/storage-blob@12.32.0)
folder=.test-env/azurite
if [ "$(cat "$folder/installed" 2>/dev/null)" != "${packages[*]}" ]; then
    if ! command -v npm >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm; } >&2
    fi
    if ! command -v npm >/dev/null; then
        echo "azurite: not installed: it takes Node.js with npm (sudo apt-get install nodejs npm)" >&2
        exit 1
    fi
    echo "azurite: making $folder, once" >&2
    mkdir -p "$folder"
    npm install --prefix "$folder" --silent --no-audit --no-fund --no-save "${packages[@]}" >&2
    echo "${packages[*]}" > "$folder/installed"
fi
