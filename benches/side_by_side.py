#!/usr/bin/env python3
"""Retcon beside PyTorch: the same model, threads and work, one after the other in one run.

    benches/pytorch/setup.sh                       # once: a virtual environment with PyTorch
    benches/side_by_side.py MODEL [--python benches/pytorch/.venv/bin/python]

MODEL is a Hugging Face folder with f32 weights: of a Llama-like decoder, whose forward pass, training
step and edits are timed, or of a BERT, in which facts are memorized and modified. Prints a Markdown table; with `--json FILE` the
raw lines of both sides go there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FACTS = ROOT / "benches/pytorch/facts.json"
PROMPT = "The capital of France is"
DECODER = ["start", "forward", "train_step", "ft_edit"]
ENCODER = ["memorize", "ftm"]
LABELS = {
    "start": "start to first token",
    "forward": "forward, 8 x 32 tokens",
    "train_step": "training step, 8 x 32 tokens, all weights",
    "memorize": "training step, 128 facts, all weights",
    "ftm": "FTM of 32 facts in an L-infinity ball, one block, 20 steps",
}


def build():
    """Builds our side, and gives the paths of the benchmarks and of the program."""
    command = ["cargo", "build", "--release", "--workspace", "--bins", "--benches", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    made = [json.loads(line) for line in lines if line.startswith("{")]
    made = [m for m in made if m.get("executable")]
    engine, memorize = (next(m for m in made if m["target"]["name"] == name) for name in ["engine", "memorize"])
    # Building benchmarks builds the program's unit tests too, under the same name.
    program = next(m for m in made if m["target"]["kind"] == ["bin"] and not m["profile"]["test"])
    return engine["executable"], memorize["executable"], program["executable"]


def ours(args, mode):
    if mode == "start":
        return [our_start(args)]
    env = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
    command = [args.engine, str(args.model), str(FACTS), mode]
    if mode in ENCODER:
        command = [args.memorize, str(args.model), mode]
    out = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def our_start(args):
    """From the start of a process to the first token of its answer."""
    command = [args.retcon, "ask", str(args.model), PROMPT, "--tokens", "1", "--threads", str(args.threads)]
    times, peaks = [], []
    for _ in range(6):
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Of this child alone: what built it was one too, and larger.
        _, status, used = os.wait4(process.pid, 0)
        times.append(time.perf_counter() - began)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command)
        peaks.append(used.ru_maxrss / 1024)
    return {"name": "start", "seconds": statistics.median(times[1:]), "best": min(times[1:]), "peak_rss_mb": max(peaks)}


def theirs(args, mode):
    command = [args.python, str(ROOT / "benches/pytorch/bench.py"), str(args.model), "--only", mode, "--threads", str(args.threads)]
    if mode in ENCODER:
        texts = subprocess.run([args.memorize, str(args.model), "texts"], stdout=subprocess.PIPE, check=True, text=True).stdout
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(texts)
            file.flush()
            encoder = [args.python, str(ROOT / "benches/pytorch/encoder.py"), str(args.model), mode, "--texts", file.name, "--threads", str(args.threads)]
            # Each of torch's Adams in a process of its own, so that memory is that of one.
            adams = ["plain", "foreach", "fused"] if mode == "memorize" else ["fused"]
            outs = [subprocess.run([*encoder, "--adam", adam], stdout=subprocess.PIPE, check=True, text=True).stdout for adam in adams]
        return [min(map(json.loads, outs), key=lambda line: line["seconds"])]
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return [line for line in map(json.loads, out.splitlines()) if line["name"] == mode]


def pairs(mode, mine, other):
    """Rows of the table: what, ours, PyTorch's."""
    if mode != "ft_edit":
        yield LABELS[mode], "seconds", mine[0], other[0]
        return
    by_scope = {line["scope"]: line for line in other}
    for line in mine:
        reference = by_scope[line["scope"]]
        steps = f"{statistics.median(line['steps']):g} steps"
        what = f"`ft` edit, {line['scope']}, {line['settings']} ({steps}; PyTorch {statistics.median(reference['steps']):g})"
        yield what, "seconds", line, reference
        if line["settings"] != "defaults":
            yield f"`ft` step, {line['scope']}", "seconds_per_step", line, reference


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--python", default=str(ROOT / "benches/pytorch/.venv/bin/python"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=DECODER + ENCODER)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.engine, args.memorize, args.retcon = build()
    is_encoder = json.loads((args.model / "config.json").read_text())["model_type"] == "bert"
    modes = ENCODER if is_encoder else DECODER
    rows, raw = [], []
    for mode in [args.only] if args.only else modes:
        mine, other = ours(args, mode), theirs(args, mode)
        raw += [{"side": "retcon", **line} for line in mine] + [{"side": "pytorch", **line} for line in other]
        for what, key, a, b in pairs(mode, mine, other):
            rows.append((what, a[key], b[key], a["peak_rss_mb"], b["peak_rss_mb"]))
        print(f"{mode} done", file=sys.stderr)
    print("| what | retcon | PyTorch | ratio | peak memory, MB |\n|---|---:|---:|---:|---:|")
    for what, a, b, memory_a, memory_b in rows:
        print(f"| {what} | {a:.3f} s | {b:.3f} s | {a / b:.2f} | {memory_a:.0f} / {memory_b:.0f} |")
    for line in raw:
        if "share_of_peak" in line:
            print(f"\n{line['gflops']:.0f} GFLOP/s in a training step, {100 * line['share_of_peak']:.0f}% of the {line['matmul_gflops']:.0f} of a large product")
    if args.json:
        args.json.write_text("".join(json.dumps(line) + "\n" for line in raw))


if __name__ == "__main__":
    main()
