#!/usr/bin/env bash
# Make a virtual environment with pinned packages and this project in it: bash infra/install.sh VENV LOCKFILE...
#   PYTHON           the Python to make it with; without one, the first of 3.11, 3.12 and 3.13 that is there
#   TORCH_CPU_INDEX  where torch's build without CUDA comes from, on Linux without an NVIDIA GPU
set -euo pipefail
venv=$1
shift
cd "$(dirname "$0")/.."
pip() { "$venv/bin/python" -m pip "$@" --quiet --disable-pip-version-check; }
fail() { echo "install: $1" >&2; exit 1; }
supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

if [ ! -x "$venv/bin/python" ]; then
    pythons=(python3.11 python3.12 python3.13)
    none="no Python 3.11, 3.12 or 3.13 is here"
    if [ -n "${PYTHON:-}" ]; then
        pythons=("$PYTHON")
        none="$PYTHON is no Python 3.11, 3.12 or 3.13"
    fi
    for python in "${pythons[@]}" ""; do
        supported "$python" && break
    done
    [ -n "$python" ] || fail "$none: install one, or name it with PYTHON=/path/to/python3.12"
    "$python" -m venv "$venv" || { rm -rf "$venv"; fail "$python has no venv module: apt-get install python3-venv"; }
fi
supported "$venv/bin/python" || fail "$venv is not of Python 3.11, 3.12 or 3.13: remove it and run the same command again"
echo "install: $* into $venv; minutes, where it is new"

torch=$(grep --no-filename '^torch==' "$@" || true)
if [ -n "$torch" ] && [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then
    index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}
    pip install --no-deps --retries 0 --timeout 15 --index-url "$index" "$torch" 2>/dev/null ||
        echo "install: no $torch at $index: PyPI's build follows, with 4 GB of CUDA libraries" >&2
fi
pip install "${@/#/--requirement=}"
pip install --no-build-isolation --no-deps --editable .
# librosa compiles when first imported; two processes that do so at once leave what crashes every later one (numba 10128)
"$venv/bin/python" -c 'import librosa.core.pitch'
