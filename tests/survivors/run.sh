#!/bin/sh
# Mutants of the pure floors, made by a program, in a copy of the tree: who survives the tests? Some minutes.
# The list with its reasons is in docs/proof-survivors.md. PYTHON: which Python to use.
# MODULE: only the module of this name ("write_path"); without it all of mutmut.toml, which takes hours.
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
# With MODULE, the other lines of source_paths go, and only the tests of its line in tests.txt run.
module=${MODULE:-}
tests='"tests/domain", "tests/replication"'
files=$(sed -n "s/^${module:-none}: //p" tests/survivors/tests.txt)
[ -z "$files" ] || tests=$(printf '"tests/replication/test_%s.py", ' $files)
sed "\\,src/bilocate/.*/,{\\,/${module:-[a-z_]*}\\.py\",!d}" tests/survivors/mutmut.toml |
    sed "s|^\\(pytest_add_cli_args_test_selection = \\)\\[.*|\\1[$tests]|" |
    cat pyproject.toml - > "$place/tree/pyproject.toml"
grep -q src/bilocate/.*\\.py "$place/tree/pyproject.toml" || { echo "$module is not in tests/survivors/mutmut.toml" >&2; exit 1; }
python="$PWD/$place/venv/bin/python"
cd "$place/tree"
PYTHONPATH="$PWD/src:$PWD" "$python" -m mutmut run --max-children "${CHILDREN:-1}" > ../log 2>&1 || { tail -n 20 ../log >&2; exit 1; }
PYTHONPATH="$PWD/src:$PWD" "$python" -m mutmut results
