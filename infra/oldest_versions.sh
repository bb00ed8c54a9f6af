#!/usr/bin/env bash
# Wheel, demo and a part of the tests with the oldest or newest allowed versions of every dependency.
#   infra/oldest_versions.sh oldest|newest [FOLDER]
# The environment is made in FOLDER (default: a new temporary one), outside the clone. Wheels only,
# so no compiler is needed.
set -euo pipefail

kind="${1:?oldest or newest}"
case "$kind" in oldest | newest) ;; *) echo "$kind: must be oldest or newest" >&2; exit 2 ;; esac
clone="$(cd "$(dirname "$0")/.." && pwd)"
folder="${2:-$(mktemp -d)}"
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"
uv="${UV:-uv}"
python="${PYTHON:-3.11}"
extras="view,openvino,hf,docs,lora,neighbours,hdf5"
unset PYTHONPATH
export RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1

cd "$folder"
rm -rf dist venv demo
"$uv" build -q --out-dir dist "$clone"
"$uv" venv -q --python "$python" venv
# The bounds are read from pyproject.toml: to a resolver that is given the wheel, only the wheel is
# direct. torch is held at its bound: torchvision, which timm asks for, would take it along.
options=()
if [ "$kind" = oldest ]; then
  sed -n 's/^ *"\(torch\)>=\([0-9.]*\)",$/\1==\2.*/p' "$clone/pyproject.toml" >held.txt
  [ -s held.txt ] || { echo "pyproject.toml: no lower bound of torch was found" >&2; exit 2; }
  options=(--resolution lowest-direct --constraint held.txt)
fi
"$uv" pip compile -q --only-binary :all: --python venv/bin/python --all-extras \
  "${options[@]}" "$clone/pyproject.toml" -o resolved.txt
"$uv" pip install -q --python venv/bin/python --only-binary :all: -r resolved.txt
wheel="$(ls dist/*.whl)"
"$uv" pip install -q --python venv/bin/python --no-deps "$wheel[$extras]"
"$uv" pip check --python venv/bin/python

mkdir demo
(cd demo && ../venv/bin/histo-ray demo --small)

# Tools of the tests, at versions that leave the above alone.
"$uv" pip install -q --python venv/bin/python --only-binary :all: --constraint resolved.txt \
  hypothesis jsonschema pytest pytest-timeout pyyaml statsmodels torchstain
cd "$clone"
# scikit-survival takes one minor version of scikit-learn only: its comparisons need that one.
ignored=()
if ! "$folder/venv/bin/python" -c "import sksurv" 2>/dev/null; then
  mapfile -t ignored < <(grep -lr sksurv tests/tiles tests/learn | sed 's/^/--ignore=/')
fi
PYTHONPATH="$clone" "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider \
  -m "not ray and not slow and not gpu" tests/tiles tests/learn tests/store/test_store.py tests/slides/test_direct.py \
  "${ignored[@]}"
