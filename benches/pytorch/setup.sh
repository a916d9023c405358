#!/bin/sh
# A virtual environment with PyTorch, in .venv beside this script.
set -eu
cd "$(dirname "$0")"
python3 -m venv .venv
.venv/bin/pip install -r requirements.txt
echo "now: benches/pytorch/.venv/bin/python benches/pytorch/bench.py MODEL_FOLDER"
