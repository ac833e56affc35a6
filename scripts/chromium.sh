#!/usr/bin/env bash
# Usage: bash scripts/chromium.sh
# Installs Chromium from Debian's packages where no browser is found: tests/browser drives one. Takes root.
set -euo pipefail
for program in chromium chromium-browser google-chrome; do
    command -v "$program" > /dev/null && exit
done
if ((EUID != 0)) || ! command -v apt-get > /dev/null; then
    echo "There is no Chromium, and only root with apt-get can get one here; install it by hand." >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium > /dev/null
