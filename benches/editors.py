#!/usr/bin/env python3
"""Edits that locate, and their statistics, beside PyTorch: the same work, one side after the other in one run.

    benches/pytorch/setup.sh                       # once: a virtual environment with PyTorch
    benches/editors.py MODEL [--easyedit CHECKOUT] [--json FILE]
    benches/editors.py MODEL --only grow           # how our cost grows, without the other side
    benches/editors.py crates/model/tests/fixtures/llama --only grow --most 10000

MODEL is a Hugging Face folder of a Llama-like decoder with f32 weights. Our side is
`crates/retcon/benches/edits.rs`, PyTorch's `benches/pytorch/locate.py`, the edits are those of
`benches/pytorch/edits.json`. Both sides get the same request: edits, prefixes, blocks, settings, and the
second moments that our side has made of a text. Prints Markdown tables.

Where the other side would take hours it makes fewer edits and is scaled to one of them: it searches their
values one after the other, so an edit of a hundred costs what an edit of three does, but for its part of
one solve.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIVEN = ROOT / "benches/pytorch/edits.json"
GROW_BLOCKS = 8
TRIAL_TEXTS = 1500


@dataclass
class Row:
    """Edits of one kind: how many of each side, and what is to be reached."""

    name: str
    label: str
    method: str
    mine: int = 1
    other: int = 1
    ratio: float | None = None  # times as fast as PyTorch, at least
    seconds: float | None = None  # an edit, at most
    prefixes: slice = field(default_factory=lambda: slice(None))
    settings: dict = field(default_factory=dict)
    with_moments: bool = True


# MEMIT and AlphaEdit take five prefixes of ten tokens, as their published code does; ROME ten of five too.
# AlphaEdit's step size is the one that its authors have for all models but Llama 3, as ours is.
FEW = slice(10, 15)
ROWS = [
    Row("rome", "`r-rome`, one edit", "rome", ratio=15, seconds=4, settings={"symmetric": True}),
    Row("rome_many", "`r-rome`, an edit of 10, each undone", "rome", mine=10, other=3, settings={"symmetric": True}),
    Row("rome_identity", "`rome` as published, identity for the second moment, one edit", "rome", with_moments=False),
    Row("memit", "`memit`, one edit", "memit", ratio=15, prefixes=FEW),
    Row("memit_many", "`memit`, an edit of 100 in one batch", "memit", mine=100, other=3, ratio=25, prefixes=FEW),
    Row("alphaedit", "`alphaedit`, an edit of 100 in batches of 10, each on the last", "alphaedit", mine=100, other=10, ratio=15,
        prefixes=FEW, settings={"batch": 10, "lr": 0.5}),
]
MEMORY_GOAL, STATISTICS_GOAL, PEAK_GOAL = 1.5, 10, 0.6


def build():
    """Builds our side, and gives its path."""
    command = ["cargo", "build", "--release", "-p", "retcon", "--bench", "edits", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    made = [json.loads(line) for line in lines if line.startswith("{")]
    return next(m["executable"] for m in made if m.get("executable") and m["target"]["name"] == "edits")


class Sides:
    """What runs a request on each side; a side that fails is told, and the run goes on."""

    def __init__(self, args, folder):
        self.args, self.folder, self.raw = args, folder, []

    def run(self, side, request):
        path = self.folder / "request.json"
        path.write_text(json.dumps({"model": str(self.args.model.resolve()), **request}))
        threads = str(self.args.threads)
        command = [self.args.python, str(ROOT / "benches/pytorch/locate.py"), str(path), "--threads", threads]
        if side == "retcon":
            command = [self.args.retcon, str(path)]
        elif side == "easyedit":
            command += ["--easyedit", str(self.args.easyedit)]
        env = {**os.environ, "RAYON_NUM_THREADS": threads}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True)
        line = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"skipped": f"failed with {done.returncode}"}
        self.raw.append({**line, "side": side, "request": {**request, "edits": len(request.get("edits", []))}})
        # At once, so that a run that is broken off leaves what it has measured.
        if self.args.json:
            self.args.json.write_text("".join(json.dumps(line) + "\n" for line in self.raw))
        if "skipped" in line:
            print(f"{side}, {request['method']}: {line['skipped']}", file=sys.stderr)
            return None
        return line


# --------------------------------------------------------------------------- blocks, texts, moments


def blocks(args):
    """The block that ROME writes and those of MEMIT, as our editors choose them by depth."""
    n = json.loads((args.model / "config.json").read_text())["num_hidden_layers"]
    last = min((3 * n + 9) // 10, n - 1)
    return n // 5, list(range(max(0, last - 4), last + 1)), list(range(max(0, last + 1 - GROW_BLOCKS), last + 1))


def width(args):
    """Numbers of a key. As MEMIT's lambda it writes half of what an average key misses, which is what the
    published 15,000 does in models that are ten times as wide."""
    return json.loads((args.model / "config.json").read_text())["intermediate_size"]


def make_moments(sides, folder, all_blocks):
    """Second moments of our own text or the user's, for both sides; and the texts, a line each."""
    request = {"method": "statistics", "blocks": all_blocks, "save": str(folder / "moments.safetensors"), "save_texts": str(folder / "texts.txt")}
    if sides.args.most:
        request["n_texts"] = TRIAL_TEXTS
    if sides.args.text:
        request["texts"] = str(sides.args.text.resolve())
    if sides.run("retcon", request) is None:
        sys.exit("without second moments there is nothing to compare")
    return folder / "moments.safetensors", folder / "texts.txt"


def some_texts(path, n):
    """`n` of the texts, spread over all of them, for the side that would take hours."""
    lines = path.read_text().splitlines()
    chosen = path.with_name("some.txt")
    chosen.write_text("".join(line + "\n" for line in lines[::max(1, len(lines) // n)][:n]))
    return chosen


# --------------------------------------------------------------------------- rows


def request(row, given, where, moments, args, n):
    own = {"covariance_weight": width(args)} if row.method == "memit" else {}
    made = {
        "method": row.method, "blocks": [where[0]] if row.method == "rome" else where[1], "edits": given["edits"][:n],
        "prefixes": given["prefixes"][row.prefixes], "settings": {**own, **row.settings, **({"steps": args.steps} if args.steps else {})},
    }
    return {**made, "second_moments": str(moments)} if row.with_moments else made


def per_edit(line, n, n_wanted, batched):
    """Seconds of an edit of `n_wanted`; what is solved once a batch is shared by as many as that batch would have."""
    once = line["stages"].get("solve", 0.0) if batched else 0.0
    return (line["edit_seconds"] - once) / n + once / n_wanted


def edits_of(row, args):
    """How many each side makes."""
    return (min(row.mine, args.most), min(row.other, args.most)) if args.most else (row.mine, row.other)


def measure(row, given, where, moments, sides):
    """Cells of one row: seconds, ratio, memory, goal, and whether all was reached."""
    args = sides.args
    n_mine, n_other = edits_of(row, args)
    mine = sides.run("retcon", request(row, given, where, moments, args, n_mine))
    ask = request(row, given, where, moments, args, n_other)
    other = sides.run("pytorch", ask)
    third = sides.run("easyedit", ask) if args.easyedit else None
    batched = row.method == "memit"
    a = mine and per_edit(mine, n_mine, n_mine, False)
    b, c = (line and per_edit(line, n_other, n_mine, batched) for line in [other, third])
    note = f" (PyTorch: {n_other}, scaled)" if n_other != n_mine else ""
    goals, reached = [], []
    if row.seconds:
        goals.append(f"{row.seconds:g} s")
        reached.append(a is not None and a <= row.seconds)
    if row.ratio:
        goals.append(f"{row.ratio:g} times as fast")
        reached.append(None not in (a, b) and b / a >= row.ratio)
    cells = [row.label + note, number(a), number(b), times(a, b)] + ([number(c)] if args.easyedit else [])
    taught = " / ".join(f"{line['taught']} of {n}" if line else "-" for line, n in [(mine, n_mine), (other, n_other)])
    return [*cells, taught, memory(args, mine, other), ", ".join(goals) or "-", verdict(reached)]


def number(seconds):
    return "-" if seconds is None else f"{seconds:.3f}"


def times(a, b):
    return "-" if None in (a, b) else f"{b / a:.1f}"


def verdict(reached):
    return ("yes" if all(reached) else "no") if reached else "-"


def weight_bytes(args):
    return sum(path.stat().st_size for path in args.model.glob("*.safetensors"))


def memory(args, *lines):
    return " / ".join(f"{line['peak_rss_bytes'] / weight_bytes(args):.2f}" if line else "-" for line in lines)


# --------------------------------------------------------------------------- tables


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|---|" + "---:|" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def edits(sides, given, where, moments, names):
    args, rows = sides.args, []
    for row in ROWS:
        if row.name in names:
            rows.append(measure(row, given, where, moments, sides))
            print(f"{' | '.join(rows[-1])}", file=sys.stderr)
    if not rows:
        return
    head = ["what", "retcon, s an edit", "PyTorch, s an edit", "ratio"] + (["EasyEdit, s an edit"] if args.easyedit else [])
    table([*head, "taught", "peak memory over weights", "goal", "reached"], rows)
    if not args.easyedit:
        print("EasyEdit was skipped: no checkout was given (`--easyedit`).\n")
    peaks = [line["peak_rss_bytes"] / weight_bytes(args) for line in sides.raw
             if line["side"] == "retcon" and "edit_seconds" in line]
    if peaks:
        print(f"Most memory of an edit here: {max(peaks):.2f} times the weights; goal {MEMORY_GOAL}: {verdict([max(peaks) <= MEMORY_GOAL])}.\n")


def statistics(sides, where, texts):
    """Our one pass over the whole text, and PyTorch's pass for each block over some of it."""
    request = {"method": "statistics", "blocks": where[1]}
    mine = sides.run("retcon", {**request, "texts": str(texts)})
    other = sides.run("pytorch", {**request, "texts": str(some_texts(texts, sides.args.texts))})
    if not (mine and other):
        return
    slow = other["statistics"][0]["tokens"] / sum(line["seconds"] for line in other["statistics"])
    fast, share = mine["tokens_per_second"], mine["share_of_peak"]
    goal = f"{STATISTICS_GOAL} times as fast, {PEAK_GOAL:.0%} of the peak"
    what = f"second moments of {len(where[1])} blocks, tokens a second (PyTorch: {other['statistics'][0]['tokens']} of {mine['tokens']} tokens)"
    reached = verdict([fast / slow >= STATISTICS_GOAL, share >= PEAK_GOAL])
    table(["what", "retcon", "PyTorch", "ratio", "peak memory over weights", "goal", "reached"],
          [[what, f"{fast:.0f}", f"{slow:.0f}", f"{fast / slow:.1f}", memory(sides.args, mine, other), goal, reached]])
    print(f"Our pass: {mine['gflops']:.0f} GFLOP/s, {share:.0%} of the {mine['matmul_gflops']:.0f} of a large product in the same process.\n")


def grow(sides, given, where, moments):
    ask = {"method": "grow", "blocks": where[2], "edits": given["edits"], "prefixes": given["prefixes"][FEW], "second_moments": str(moments),
           "settings": {**({"steps": sides.args.steps} if sides.args.steps else {}), **({"most": sides.args.most} if sides.args.most else {})}}
    line = sides.run("retcon", ask)
    if line is None:
        return
    for key, what, cell in [("edits_grow", "edits, one block", lambda row: str(row["n_edits"])),
                            ("blocks_grow", "blocks, ten edits", lambda row: str(len(row["blocks"])))]:
        table([f"{what}, {line['steps']} steps", "s", "s an edit", "before the search, s", "search, s", "keys and solve, s"],
              [[cell(row), number(row["edit_seconds"]), number(row["edit_seconds"] / row["n_edits"]), number(row["prepare_seconds"]),
                number(row["stages"]["value_search"]), number(row["stages"]["keys_and_solve"])] for row in line[key]])
    keys = ["factor_seconds", "null_space_seconds", "solve_1_seconds", "solve_100_seconds"]
    table(["width of keys, one block", "factor, s", "null space, s", "solve for 1 key, s", "solve for 100 keys, s"],
          [[str(row["width"]), *(number(row[key]) for key in keys)] for row in line["widths"]])


def main():
    names = [row.name for row in ROWS] + ["statistics", "grow"]
    parser = argparse.ArgumentParser(description="Time locating editors beside PyTorch.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--python", default=str(ROOT / "benches/pytorch/.venv/bin/python"))
    parser.add_argument("--easyedit", type=Path, help="a checkout of zjunlp/EasyEdit, for a third column")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=names, nargs="+", help="these (default: all but `grow`)")
    parser.add_argument("--text", type=Path, help="a text a line, for statistics (default: the library's own)")
    parser.add_argument("--texts", type=int, default=500, help="texts that PyTorch's statistics are of")
    parser.add_argument("--steps", type=int, help="looks at a value's loss, for a trial run")
    parser.add_argument("--most", type=int, help="edits of either side at most, and little text: for a trial run, or for more edits of `grow`")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    names = args.only or [name for name in names if name != "grow"]
    args.retcon = build()
    given, (rome, memit, growing) = json.loads(GIVEN.read_text()), blocks(args)
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(args, Path(folder))
        wanted = {rome, *memit, *(growing if "grow" in names else [])}
        moments, texts = make_moments(sides, Path(folder), sorted(wanted))
        edits(sides, given, (rome, memit, growing), moments, names)
        if "statistics" in names:
            statistics(sides, (rome, memit), texts)
        if "grow" in names:
            grow(sides, given, (rome, memit, growing), moments)


if __name__ == "__main__":
    main()
