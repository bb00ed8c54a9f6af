#!/usr/bin/env bash
# The wheel with one extra at a time, each in a fresh environment, and one command that needs it;
# the wheel without extras says in each place which one is missing.
#   infra/each_extra.sh [FOLDER]
# Environments are made in FOLDER (default: a new temporary one), outside the clone; wheels only.
set -euo pipefail

clone="$(cd "$(dirname "$0")/.." && pwd)"
folder="${1:-$(mktemp -d)}"
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"
uv="${UV:-uv}"
python="${PYTHON:-3.11}"
unset PYTHONPATH
export RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1

cd "$folder"
rm -rf dist plain demo ./*.venv out
"$uv" build -q --out-dir dist "$clone"
wheel="$(ls "$folder"/dist/*.whl)"

install() { # NAME REQUIREMENT
  "$uv" venv -q --python "$python" "$1.venv"
  "$uv" pip install -q --python "$1.venv/bin/python" --only-binary :all: "$2"
  "$uv" pip check -q --python "$1.venv/bin/python"
}

refuses() { # EXTRA COMMAND...: exit code 2, and the extra is named
  local extra="$1" code=0
  shift
  "$@" >out 2>&1 || code=$?
  if [ "$code" != 2 ] || ! grep -qF "histo-ray[$extra]" out; then
    cat out
    echo "$*: should have ended with code 2 and named histo-ray[$extra]; it ended with $code" >&2
    exit 1
  fi
}

slide() { # ENVIRONMENT STORE ENCODER FLAGS...: one slide of the demo
  local program="$1.venv/bin/histo-ray" store="$2" encoder="$3"
  shift 3
  "$program" extract --manifest one.csv --store "$store" --encoder "$encoder" --mpp 1 --tile-px 64 \
    --address none --quiet "$@"
}

install none "$wheel"
none.venv/bin/histo-ray demo --small --out demo --quiet
python3 - demo/slides.csv >one.csv <<'PY'
import csv, os, sys

with open(sys.argv[1]) as file:
    first = next(csv.DictReader(file))
folder = os.path.dirname(os.path.abspath(sys.argv[1]))
print("slide_id,path\none," + os.path.join(folder, first["path"]))
PY
slide none S random:resnet10t
refuses view none.venv/bin/histo-ray view S
refuses openvino slide none T random:resnet10t --engine openvino
refuses hdf5 none.venv/bin/histo-ray store export S out.h5 --to trident
refuses neighbours none.venv/bin/histo-ray store index build S
refuses hf slide none T phikon-v2 --allow-contract-break
refuses lora none.venv/bin/histo-ray finetune --tiles demo/tiles-learned/tiles.csv \
  --encoder random:vit_tiny_patch16_224 --name a --store T --recipe lora
echo "none: done"

for extra in view openvino hdf5 hf lora neighbours docs; do
  install "$extra" "$wheel[$extra]"
  case "$extra" in
    view)
      timeout -s INT 20 view.venv/bin/histo-ray view S --json >out 2>&1 || true
      grep -q "127.0.0.1" out ;;
    openvino) slide openvino T random:resnet10t --engine openvino ;;
    hdf5) hdf5.venv/bin/histo-ray store export S trident --to trident --quiet ;;
    hf) hf.venv/bin/python -c "import histo_ray.encoders.transformers_network, transformers" ;;
    lora) lora.venv/bin/histo-ray finetune --tiles demo/tiles-learned/tiles.csv --quiet \
      --encoder random:vit_tiny_patch16_224 --name a --store T --recipe lora --set network.epochs=1 ;;
    neighbours)
      neighbours.venv/bin/histo-ray store index build S --quiet ;;
    docs) (cd "$clone" && "$folder/docs.venv/bin/mkdocs" build -q --strict --site-dir "$folder/site") ;;
  esac
  echo "$extra: done"
done
