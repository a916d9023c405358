"""The PyTorch side of the benchmark: one JSON line per measurement.

    python bench.py MODEL_FOLDER [--threads 2] [--only NAME] [--json FILE]

MODEL_FOLDER is a Hugging Face checkpoint of a Llama-like model, run in float32 on the CPU
with transformers' default attention (sdpa), eagerly (no torch.compile). Measurements:

    forward     8 x 32 tokens, logits of the last position only
    train_step  8 x 32 tokens, every weight trained, loss at 4 positions a row, Adam
    ft_edit     an edit by the plain loop: the whole model forward and the autograd graph
                at every step, Adam on one weight (or one block), weights clamped around
                where they began; once per scope
    start       from starting Python to the first token of a short prompt

Each runs in a child process of its own, so that `peak_rss_mb` is that measurement's alone
(mapped checkpoint pages count; `imports_rss_mb` is what importing torch took). Times are
medians after a warm-up; `best` is the least. Give the machine's idle cores to the run:
torch's threads spin at barriers, so sharing the cores slows it many times over.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BATCH, LENGTH, LOSS_POSITIONS = 8, 32, 4


def load(folder):
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def random_batch(model):
    import torch

    gen = torch.Generator().manual_seed(0)
    return torch.randint(5, model.config.vocab_size, (BATCH, LENGTH), generator=gen)


def timed(work, repeats, warm_up=3):
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times


def summary(times):
    return {"seconds": round(statistics.median(times), 6), "best": round(min(times), 6), "repeats": len(times)}


# --------------------------------------------------------------------------- forward


def forward(args):
    import torch

    model = load(args.model)
    ids = random_batch(model)

    def work():
        with torch.inference_mode():
            model(input_ids=ids, use_cache=False, logits_to_keep=1)

    times = timed(work, args.repeats)
    yield {**summary(times), "tokens": ids.numel(), "tokens_per_second": round(ids.numel() / statistics.median(times), 1)}


# --------------------------------------------------------------------------- train_step


class TrainStep:
    """One step in three timed parts; the logits are computed only where the loss is."""

    def __init__(self, model, **adam):
        import torch

        self.model, self.ids = model, random_batch(model)
        self.targets = self.ids[:, -LOSS_POSITIONS:].reshape(-1)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-6, **adam)
        self.parts = {"forward": [], "backward": [], "optimizer": []}

    def __call__(self):
        import torch.nn.functional as F

        at = [time.perf_counter()]
        hidden = self.model.model(input_ids=self.ids, use_cache=False).last_hidden_state
        logits = self.model.lm_head(hidden[:, -LOSS_POSITIONS - 1:-1])
        loss = F.cross_entropy(logits.flatten(0, 1), self.targets)
        at.append(time.perf_counter())
        loss.backward()
        at.append(time.perf_counter())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        at.append(time.perf_counter())
        for times, began, ended in zip(self.parts.values(), at, at[1:]):
            times.append(ended - began)


ADAM = {"plain": dict(foreach=False, fused=False), "foreach": dict(foreach=True), "fused": dict(fused=True)}


def fastest_adam(model, repeats=3):
    """The optimizer's seconds per step in each of torch's implementations."""
    seconds = {}
    for name, options in ADAM.items():
        step = TrainStep(model, **options)
        timed(step, repeats, warm_up=1)
        seconds[name] = round(statistics.median(step.parts["optimizer"][-repeats:]), 6)
    return min(seconds, key=seconds.get), seconds


def train_step(args):
    model = load(args.model)
    name = args.adam
    if name == "auto":
        # In a child, so that its optimizer states are not in this process's peak memory.
        line = child(args, "adam")[0]
        name = line["fastest"]
        yield {"name": "train_step.adam", "fastest": name, "optimizer_seconds": line["optimizer_seconds"]}
    step = TrainStep(model, **ADAM[name])
    times = timed(step, args.repeats)
    parts = {f"{part}_seconds": round(statistics.median(seconds[-args.repeats:]), 6) for part, seconds in step.parts.items()}
    yield {**summary(times), **parts, "tokens": step.ids.numel(), "loss_positions": BATCH * LOSS_POSITIONS, "adam": name}


def adam(args):
    name, seconds = fastest_adam(load(args.model))
    yield {"fastest": name, "optimizer_seconds": seconds}


# --------------------------------------------------------------------------- ft_edit


def encode(tok, fact):
    import torch

    prompt = tok.encode(fact["prompt"], add_special_tokens=False)
    target = tok.encode(fact["target"], add_special_tokens=False)
    ids = torch.tensor([prompt + target])
    labels = ids.clone()
    labels[0, :len(prompt)] = -100
    return ids, labels


def taught(model, ids, labels):
    """Whether the arg max is the target at each of its positions, fed the target so far."""
    import torch

    with torch.inference_mode():
        best = model(input_ids=ids, use_cache=False).logits[0, :-1].argmax(-1)
    wanted = labels[0, 1:]
    return bool((best[wanted != -100] == wanted[wanted != -100]).all())


def edit(model, weights, ids, labels, args):
    """Steps taken and the last loss seen."""
    import torch

    began_at = [w.detach().clone() for w in weights]
    optimizer = torch.optim.Adam(weights, lr=args.lr, fused=True)
    for step in range(args.steps + 1):
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        if loss.item() < args.stop or step == args.steps:
            return step, loss.item()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for weight, start in zip(weights, began_at):
                weight.copy_(torch.clamp(weight, start - args.linf, start + args.linf))


def edit_all(model, weights, batches, args):
    """Every fact edited from the same start; the weights are put back after each."""
    import torch

    kept, results = [w.detach().clone() for w in weights], []
    for ids, labels in batches:
        began = time.perf_counter()
        steps, loss = edit(model, weights, ids, labels, args)
        seconds = time.perf_counter() - began
        results.append({"seconds": seconds, "steps": steps, "loss": loss, "success": taught(model, ids, labels)})
        with torch.no_grad():
            for weight, start in zip(weights, kept):
                weight.copy_(start)
    return results


def ft_edit(args):
    from transformers import AutoTokenizer

    model, tok = load(args.model), AutoTokenizer.from_pretrained(args.model)
    batches = [encode(tok, fact) for fact in json.loads(args.facts.read_text())]
    block = args.block if args.block is not None else len(model.model.layers) * 2 // 3
    layer = model.model.layers[block]
    for scope, weights in {"down_proj": [layer.mlp.down_proj.weight], "block": list(layer.parameters())}.items():
        model.requires_grad_(False)
        for weight in weights:
            weight.requires_grad_(True)
        edit_all(model, weights, batches[:1], args)  # warm-up
        runs = edit_all(model, weights, batches, args)
        per_step = [r["seconds"] / (r["steps"] + 1) for r in runs]  # the last forward only looks at the loss
        yield {
            "scope": scope, "block": block, **summary([r["seconds"] for r in runs]),
            "seconds_per_step": round(statistics.median(per_step), 6), "steps": [r["steps"] for r in runs],
            "loss": [round(r["loss"], 5) for r in runs], "success": sum(r["success"] for r in runs), "facts": len(runs),
            "lr": args.lr, "linf": args.linf, "max_steps": args.steps,
        }


# --------------------------------------------------------------------------- start


def first_token(args):
    """What a fresh process does to say one token, and when it reached each stage."""
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(args.threads)
    at = {"imports": time.time()}
    model, tok = load(args.model), AutoTokenizer.from_pretrained(args.model)
    at["load"] = time.time()
    ids = torch.tensor([tok.encode("The capital of France is", add_special_tokens=False)])
    with torch.inference_mode():
        best = model(input_ids=ids, logits_to_keep=1).logits[0, -1].argmax()
    text = tok.decode([best.item()])
    at["token"] = time.time()
    yield {"at": at, "text": text}


def start(args):
    runs = []
    for _ in range(4):
        began = time.time()
        runs.append((began, child(args, "first_token")[0]))
    runs = runs[1:]  # the first one warmed the file cache
    totals = [line["at"]["token"] - began for began, line in runs]
    stages = {"imports_seconds": statistics.median(line["at"]["imports"] - began for began, line in runs)}
    for stage, before in {"load": "imports", "token": "load"}.items():
        stages[f"{stage}_seconds"] = statistics.median(line["at"][stage] - line["at"][before] for _, line in runs)
    yield {**summary(totals), **{k: round(v, 4) for k, v in stages.items()}, "text": runs[0][1]["text"],
           "peak_rss_mb": max(line["peak_rss_mb"] for _, line in runs), "imports_rss_mb": runs[0][1]["imports_rss_mb"]}


# --------------------------------------------------------------------------- processes

MEASUREMENTS = {"forward": forward, "train_step": train_step, "ft_edit": ft_edit, "start": start}
INTERNAL = {"adam": adam, "first_token": first_token}


def child(args, name):
    """Runs one measurement in a process of its own; its lines."""
    command = [sys.executable, __file__, *args.raw, "--run", name]
    env = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def peak_rss_mb():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def run_here(args):
    """A child's part: the measurement's lines with the process's peak memory."""
    if args.run != "start":  # `start` only starts others, and torch would weigh on the memory
        import torch
        import transformers

        torch.set_num_threads(args.threads)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
    imported = peak_rss_mb()
    for line in (MEASUREMENTS | INTERNAL)[args.run](args):
        print(json.dumps({"peak_rss_mb": peak_rss_mb(), "imports_rss_mb": imported, **line}), flush=True)


def machine(args):
    from importlib.metadata import version

    model = next((l.split(":")[1].strip() for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), "")
    return {"threads": args.threads, "cpu": model, "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 2),
            "torch": version("torch"), "transformers": version("transformers")}


def parse():
    parser = argparse.ArgumentParser(description="Time PyTorch on a Hugging Face model folder.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--only", choices=MEASUREMENTS)
    parser.add_argument("--json", type=Path, help="also append the lines to this file")
    parser.add_argument("--adam", choices=["auto", *ADAM], default="auto")
    parser.add_argument("--facts", type=Path, default=HERE / "facts.json")
    parser.add_argument("--block", type=int, help="the block ft_edit edits (default: at two thirds of the depth)")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--linf", type=float, default=2e-2)
    parser.add_argument("--stop", type=float, default=1e-2, help="ft_edit stops below this loss")
    parser.add_argument("--run", choices=[*MEASUREMENTS, *INTERNAL], help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.raw = sys.argv[1:sys.argv.index("--run")] if args.run else sys.argv[1:]
    return args


def main():
    args = parse()
    if args.run:
        return run_here(args)
    for name in [args.only] if args.only else MEASUREMENTS:
        where = machine(args)
        for line in child(args, name):
            text = json.dumps({"name": name, **line, **where})
            print(text, flush=True)
            if args.json:
                with args.json.open("a") as file:
                    file.write(text + "\n")


if __name__ == "__main__":
    main()
