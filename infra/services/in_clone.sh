#!/usr/bin/env bash
# What the worker's image does before its command: work in a clone of the repository that lasts as long as its volume,
# made from SER_OPS_ORIGIN at the first start. Flow runs bring it to the commit that they were deployed from.
set -euo pipefail
clone=${SER_OPS_CLONE:-/var/lib/ser-ops/clone}
if [ ! -e "$clone" ]; then
    rm -rf "$clone.new"
    git clone --quiet "${SER_OPS_ORIGIN:?say where to clone the repository from}" "$clone.new"
    mv "$clone.new" "$clone"
fi
cd "$clone"
PYTHONPATH=$PWD exec "$@"
