#!/usr/bin/env python3
"""Asking cases with retcon beside PyTorch, one after the other in one run.

    benches/pytorch/setup.sh                       # once: a virtual environment with PyTorch
    retcon data counterfact.json --count 100 --to cases --out cases.jsonl
    benches/evaluate.py MODEL cases.jsonl [--n 100] [--python benches/pytorch/.venv/bin/python]

MODEL is a Hugging Face folder of a decoder with f32 weights. Prints a Markdown table.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lines(command, threads):
    env = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    out = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", default=str(ROOT / "benches/pytorch/.venv/bin/python"))
    args = parser.parse_args()
    of = [str(args.model.resolve()), str(args.cases.resolve()), str(args.n)]
    ours = lines(["cargo", "bench", "-p", "retcon", "--bench", "evaluate", "--", *of], args.threads)
    script = str(ROOT / "benches/pytorch/evaluate.py")
    theirs = lines([args.python, script, *of, "--threads", str(args.threads)], args.threads)
    together = ours[0]["seconds_per_case"]
    print("| side | way | seconds a case | ratio |\n|---|---|---:|---:|")
    for line in [*ours, *theirs]:
        if "way" in line:
            seconds = line["seconds_per_case"]
            print(f"| {line['side']} | {line['way']} | {seconds:.3f} | {seconds / together:.1f} |")
    print(f"\n{ours[0]['questions']} questions; {ours[-1]['same_texts']} free answers are the same both ways.")


if __name__ == "__main__":
    main()
