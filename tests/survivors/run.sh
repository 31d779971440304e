#!/bin/sh
# Mutants of the pure floors, made by a program, in a copy of the tree: who survives the tests? Some minutes.
# The list with its reasons is in docs/proof-survivors.md. PYTHON: which Python to use.
set -eu
cd "$(dirname "$0")/../.."
place=build/survivors
if [ ! -e "$place/venv/.installed" ]; then
    "${PYTHON:-python3}" -m venv "$place/venv"
    "$place/venv/bin/python" -m pip install --quiet --requirement requirements-dev.txt \
        --requirement requirements.txt --requirement tests/survivors/requirements.txt
    touch "$place/venv/.installed"
fi
rm -rf "$place/tree"
mkdir -p "$place/tree"
cp -R src tests "$place/tree"
cat pyproject.toml tests/survivors/mutmut.toml > "$place/tree/pyproject.toml"
python="$PWD/$place/venv/bin/python"
cd "$place/tree"
PYTHONPATH="$PWD/src:$PWD" "$python" -m mutmut run > ../log 2>&1 || { tail -n 20 ../log >&2; exit 1; }
PYTHONPATH="$PWD/src:$PWD" "$python" -m mutmut results
