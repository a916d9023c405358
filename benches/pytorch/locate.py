"""The published loops of ROME, MEMIT and AlphaEdit, and key statistics, in plain PyTorch: one JSON object.

    python locate.py [REQUEST.json] [--threads 2] [--easyedit CHECKOUT]

They do the work as zjunlp/EasyEdit's code does it (files of that repository are named where one is
followed): the whole model forward in every step, texts padded to the longest, logits at all positions,
forward hooks, float32, one edit's value after another. Weights are a Llama-like model's. The request, from
stdin where no file is named:

    {"model": FOLDER, "method": "rome" | "memit" | "alphaedit" | "statistics", "blocks": [5],
     "edits": [{"prompt": "The mother tongue of {} is", "subject": "Danielle Darrieux", "target_new": "English"}],
     "prefixes": ["The first time", ...],         contexts are the bare prompt and "PREFIX. PROMPT"
     "texts": FILE, "n_texts": 2000,              a text a line, perhaps gzipped: what statistics are of
     "second_moments": FILE,                      instead of texts: safetensors, "block.5" is the mean of k kᵀ
     "save": FILE,                                where to put the second moments of `texts`
     "keep": false,                               whether an edit starts from the one before it
     "settings": {...}}                           over DEFAULTS, below

`rome` without statistics takes the identity, as EasyEdit's presets do. `alphaedit` always keeps edits, which
is what its past keys are for. The answer has seconds to load, to prepare (statistics, inverses, projectors:
once per model), to edit and to check; the same by stage; what every edit came to (the updates made, the loss
that its value ended with, whether each token of the target is the arg max afterwards, fed the target so far);
norms of the updates; and the peak memory. Giving the idle cores to the run matters as in `bench.py`.

With `--easyedit` the same edits are made by the code of a checkout of EasyEdit instead (see `easyedit.py`).
"""

import argparse
import gzip
import json
import os
import sys
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from bench import encode, load, machine, peak_rss_mb, taught

# EasyEdit's hparams/ROME/llama-7b.yaml, hparams/MEMIT/llama-7b.yaml and hparams/AlphaEdit/llama3-8b.yaml.
SEARCH = {"lr": 0.5, "steps": 25, "kl": 0.0625, "weight_decay": 1e-3, "clamp": 4.0, "stop": 0.05, "no_stop": False}
DEFAULTS = {
    "rome": {**SEARCH, "symmetric": False, "batch": 1},
    "memit": {**SEARCH, "covariance_weight": 15000.0, "batch": None},
    "alphaedit": {**SEARCH, "lr": 0.1, "weight_decay": 0.5, "clamp": 0.75, "threshold": 2e-2, "l2": 10.0, "batch": 10},
    "statistics": {},
}
TEXTS_AT_ONCE = 100  # rome/layer_stats.py: batch_size
CONTEXTS_AT_ONCE = 128  # rome/repr_tools.py: get_reprs_at_idxs
IGNORED = -100


class Clock(dict):
    """Seconds by stage."""

    @contextmanager
    def __call__(self, stage):
        began = time.perf_counter()
        yield
        self[stage] = self.get(stage, 0.0) + time.perf_counter() - began


class Stop(Exception):
    """Ends a forward pass of which no more is wanted."""


class Trace:
    """Keeps what goes in and out of a module in a forward pass, perhaps changed on its way (util/nethook.py)."""

    def __init__(self, module, edit=None, stop=False):
        self.edit, self.stop = edit, stop
        self.handle = module.register_forward_hook(self.hook)

    def hook(self, _module, inputs, output):
        self.input, self.output = inputs[0], output
        if self.edit:
            self.edit(output)
        if self.stop:
            raise Stop

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.handle.remove()
        return kind is Stop


class Bench:
    """The model, its tokenizer, and what every stage of a request needs to know."""

    def __init__(self, request, how):
        self.clock, self.how = Clock(), how
        with self.clock("load"):
            self.model, self.tok = load(request["model"]), AutoTokenizer.from_pretrained(request["model"])
        self.tok.pad_token, self.tok.padding_side = self.tok.eos_token, "right"  # editors/editor.py, for Llama
        self.contexts = contexts(request.get("prefixes", []))
        self.layers = self.model.model.layers
        self.found = []

    def padded(self, texts):
        return self.tok(texts, return_tensors="pt", padding=True)

    def down(self, block):
        return self.layers[block].mlp.down_proj


def contexts(prefixes):
    """rome/rome_main.py: get_context_templates, but with prefixes that are given."""
    return ["{}"] + [prefix.replace("{", "").replace("}", "") + ". {}" for prefix in prefixes]


def chunks(things, n):
    for i in range(0, len(things), n):
        yield things[i:i + n]


def hidden(output):
    """A block's hidden state, which some releases of transformers wrap in a tuple."""
    return output[0] if isinstance(output, tuple) else output


# --------------------------------------------------------------------------- texts and positions


def with_space(target):
    return target if target.startswith(" ") else " " + target


def target_ids(tok, edit):
    ids = tok(with_space(edit["target_new"]), return_tensors="pt")["input_ids"][0]
    return ids[1:] if ids[0] in (tok.bos_token_id, tok.unk_token_id) else ids


def lookup(tok, template, subject):
    """Where the subject's last token is (rome/repr_tools.py: get_words_idxs_in_templates)."""
    before, _ = template.split("{}")
    return len(tok.encode(before + subject)) - 1


def states(bench, module, templates, subjects):
    """A module's inputs and outputs at the subjects' last tokens, `[n, width]` (rome/repr_tools.py).

    The pass goes through the whole model, head included, whatever block is asked about.
    """
    ins, outs = [], []
    for batch in chunks(list(zip(templates, subjects)), CONTEXTS_AT_ONCE):
        inputs = bench.padded([template.format(subject) for template, subject in batch])
        with torch.no_grad(), Trace(module) as trace:
            bench.model(**inputs)
        for row, (template, subject) in enumerate(batch):
            at = lookup(bench.tok, template, subject)
            ins.append(trace.input[row, at])
            outs.append(hidden(trace.output)[row, at])
    return torch.stack(ins), torch.stack(outs)


# --------------------------------------------------------------------------- the value


class Search:
    """Rows of one edit's value search: its contexts with the target, and one of the subject alone."""

    def __init__(self, bench, edit):
        tok, subject = bench.tok, edit["subject"]
        self.target = target_ids(tok, edit)
        seam = tok.decode(self.target[:-1])
        templates = [context.format(edit["prompt"]) + seam for context in bench.contexts] + ["{} is a"]
        self.inputs = bench.padded([template.format(subject) for template in templates])
        self.lookups = [lookup(tok, template, subject) for template in templates]
        self.labels = torch.full((len(bench.contexts), self.inputs["input_ids"].shape[1]), IGNORED)
        for row, length in enumerate(self.inputs["attention_mask"].sum(1)[:-1]):
            self.labels[row, length - len(self.target):length] = self.target

    def nll(self, log_probs):
        """Of the target, a token; `log_probs` may have rows beyond the labels'."""
        wanted = torch.where(self.labels != IGNORED, self.labels, 0).unsqueeze(2)
        mask = (self.labels != IGNORED).float()
        return (-(torch.gather(log_probs, 2, wanted).squeeze(2) * mask).sum(1) / len(self.target)).mean()


def head_again(model, last):
    """Log probabilities from the last block's output (memit/compute_z.py), beside the logits there are already."""
    head = model.lm_head.weight
    return torch.log_softmax(model.model.norm(last) @ head.T + head.new_zeros(head.shape[0]), dim=2)


def search_value(bench, edit, site, again):
    """The output of module `site` at the subject that makes the model say the target.

    rome/compute_v.py, and memit/compute_z.py where the head runs `again`. Of `steps` passes, the last one
    or the first whose loss is low enough only looks at the loss.
    """
    model, how, rows = bench.model, bench.how, Search(bench, edit)
    delta = torch.zeros(model.config.hidden_size, requires_grad=True)
    start = base = None

    def add(output):
        nonlocal start
        state = hidden(output)
        if start is None:
            start = state[0, rows.lookups[0]].detach().clone()
        for row, at in enumerate(rows.lookups):
            state[row, at, :] += delta

    optimizer = torch.optim.Adam([delta], lr=how["lr"])
    model.requires_grad_(False)
    for step in range(how["steps"]):
        optimizer.zero_grad()
        with Trace(site, edit=add), Trace(bench.layers[-1]) as last:
            logits = model(**rows.inputs).logits
        after = F.log_softmax(logits[-1:, rows.lookups[-1]], dim=1)
        base = after.detach().clone() if base is None else base
        if again:
            log_probs = head_again(model, hidden(last.output)[:len(rows.labels)])
        else:
            log_probs = torch.log_softmax(logits, dim=2)
        kl = how["kl"] * F.kl_div(base, after, log_target=True, reduction="batchmean")
        decay = how["weight_decay"] * torch.norm(delta) / torch.norm(start) ** 2
        loss = rows.nll(log_probs) + kl + decay
        if step == how["steps"] - 1 or not how["no_stop"] and loss < how["stop"]:
            break
        loss.backward()
        optimizer.step()
        longest = how["clamp"] * start.norm()
        if delta.norm() > longest:
            with torch.no_grad():
                delta[...] = delta * longest / delta.norm()
    bench.found.append({"subject": edit["subject"], "target_new": edit["target_new"], "updates": step, "loss": loss.item(),
                        "value_norm": start.norm().item(), "delta_norm": delta.norm().item()})
    return start + delta.detach()


# --------------------------------------------------------------------------- ROME


def rome(bench, edits, blocks, inverses):
    """Rank-one updates of one edit (rome/rome_main.py, compute_u.py, compute_v.py)."""
    deltas, originals, (edit,) = {}, copies(bench, blocks), edits
    every = [context.format(edit["prompt"]) for context in bench.contexts]
    for block in sorted(blocks):
        with bench.clock("keys"):
            key = states(bench, bench.down(block), every, [edit["subject"]] * len(every))[0].mean(0)
        with bench.clock("solve"):
            u = key if inverses is None else (inverses[block] @ key.unsqueeze(1)).squeeze()
            u = u / u.norm()
        with bench.clock("value_search"):
            value = search_value(bench, edit, bench.layers[block].mlp, again=False)
        with bench.clock("keys"):
            key, present = present_state(bench, edit, block)
        with bench.clock("solve"):
            right = (value - present) / torch.dot(key, u)
            deltas[block] = right.unsqueeze(1) @ u.unsqueeze(0)
            bench.down(block).weight[...] += deltas[block]
    restore(bench, originals)
    return deltas


def present_state(bench, edit, block):
    """Key and output that the update is measured against.

    The bare prompt's in ROME; the contexts' mean in r-ROME, which the reference runs one after another
    (r_rome/compute_v.py).
    """
    templates = [context.format(edit["prompt"]) for context in bench.contexts]
    runs = [states(bench, bench.down(block), [t], [edit["subject"]]) for t in (templates if bench.how["symmetric"] else templates[:1])]
    return [torch.cat(side).mean(0) for side in zip(*runs)]


# --------------------------------------------------------------------------- MEMIT, AlphaEdit


def keys(bench, edits, block):
    """The edits' keys, `[f, n]`: half the bare prompt's, half the mean of those with prefixes (memit/compute_ks.py)."""
    n = len(bench.contexts)
    templates = [context.format(edit["prompt"]) for edit in edits for context in bench.contexts]
    every, _ = states(bench, bench.down(block), templates, [edit["subject"] for edit in edits for _ in range(n)])
    kinds = [[group[:1].mean(0), *([group[1:].mean(0)] if n > 1 else [])] for group in chunks(every, n)]
    return torch.stack([torch.stack(kind).mean(0) for kind in kinds], dim=1)


def spread(bench, edits, blocks, solve):
    """Updates that bring the last block's output to its value, a share by each block (memit/memit_main.py).

    `solve(i, keys, residuals)` gives the update of the i-th block, as long as its weight. Weights change on
    the way, so that each block sees what is left, and are restored.
    """
    last = bench.layers[blocks[-1]]
    with bench.clock("value_search"):
        values = torch.stack([search_value(bench, edit, last, again=True) for edit in edits], dim=1)
    deltas = {}
    for i, block in enumerate(blocks):
        with bench.clock("keys"):
            block_keys = keys(bench, edits, block)
            _, present = states(bench, last, [edit["prompt"] for edit in edits], [edit["subject"] for edit in edits])
        with bench.clock("solve"):
            deltas[block] = solve(i, block_keys, (values - present.T) / (len(blocks) - i))
            bench.down(block).weight[...] += deltas[block]
    return deltas


def memit(bench, edits, blocks, moments):
    """Each block's system in float64, by LU (memit/memit_main.py)."""

    def solve(i, block_keys, residuals):
        k = block_keys.double()
        system = bench.how["covariance_weight"] * moments[blocks[i]].double() + k @ k.T
        return (residuals.double() @ torch.linalg.solve(system, k).T).float()

    originals = copies(bench, blocks)
    deltas = spread(bench, edits, blocks, solve)
    restore(bench, originals)
    return deltas


class AlphaEdit:
    """Projectors and past keys, which outlive a batch (alphaedit/AlphaEdit_main.py)."""

    def __init__(self, threshold, l2, blocks, moments):
        self.l2, self.projectors = l2, [null_space(moments[block], threshold) for block in blocks]
        self.past = [torch.zeros_like(p) for p in self.projectors]

    def ranks(self):
        return [round(p.trace().item()) for p in self.projectors]

    def solve(self, i, block_keys, residuals):
        """A general float32 system of the keys' whole width."""
        projector = self.projectors[i]
        system = projector @ (block_keys @ block_keys.T + self.past[i]) + self.l2 * torch.eye(len(block_keys))
        return torch.linalg.solve(system, projector @ block_keys @ residuals.T).T

    def __call__(self, bench, edits, blocks, _moments):
        originals = copies(bench, blocks)
        deltas = spread(bench, edits, blocks, self.solve)
        with bench.clock("keys"):
            for past, block in zip(self.past, blocks):
                block_keys = keys(bench, edits, block)
                past += block_keys @ block_keys.T
        restore(bench, originals)
        return deltas


def null_space(moment, threshold):
    """The projector on what the preserved keys hardly use (AlphaEdit_main.py: get_project)."""
    u, s, _ = torch.linalg.svd(moment, full_matrices=False)
    kept = u[:, s < threshold]
    return kept @ kept.T


# --------------------------------------------------------------------------- weights


def copies(bench, blocks):
    return {block: bench.down(block).weight.detach().clone() for block in blocks}


@torch.no_grad()
def restore(bench, originals):
    for block, weight in originals.items():
        bench.down(block).weight[...] = weight


@torch.no_grad()
def apply(bench, deltas):
    for block, delta in deltas.items():
        bench.down(block).weight[...] += delta


# --------------------------------------------------------------------------- statistics


def context_length(config):
    """rome/layer_stats.py caps the families that declare contexts nobody has memory for."""
    return 4096 if config.model_type in ("mistral", "qwen2") else config.max_position_embeddings


def text_batches(tok, texts, longest):
    """Padded batches, of texts alike in length (rome/tok_dataset.py: length_collation)."""
    for group in chunks(texts, TEXTS_AT_ONCE):
        rows = [tok.encode(text, truncation=True, max_length=longest) for text in group]
        batch = []
        for row in sorted(rows, key=len, reverse=True):
            if batch and len(batch[0]) * (len(batch) + 1) > 3 * longest:
                yield padded_batch(batch)
                batch = []
            batch.append(row)
        yield padded_batch(batch)


def padded_batch(rows):
    def pad(tensors):
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)

    return {"input_ids": pad([torch.tensor(row) for row in rows]), "position_ids": pad([torch.arange(len(row)) for row in rows]),
            "attention_mask": pad([torch.ones(len(row), dtype=torch.long) for row in rows])}


@torch.no_grad()
def second_moment(bench, block, texts):
    """The mean of `k kᵀ` over attended tokens, one pass up to the block for each block, and how many there were.

    rome/layer_stats.py, in float32 as the presets have it; texts in the order given.
    """
    down = bench.down(block)
    moment, n_tokens = torch.zeros(down.in_features, down.in_features), 0
    for batch in text_batches(bench.tok, texts, context_length(bench.model.config)):
        with Trace(down, stop=True) as trace:
            bench.model(**batch)
        attended = batch["attention_mask"].view(-1).nonzero()[:, 0]
        rows = trace.input.view(-1, down.in_features)[attended]
        moment += rows.t().mm(rows)
        n_tokens += len(rows)
    return moment / n_tokens, n_tokens


def read_texts(path, n):
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in islice(lines, n) if line.strip()]


def statistics(bench, request):
    """Second moments by block, and what making them took; none where the request has no source of them."""
    if "second_moments" in request:
        saved = load_file(request["second_moments"])
        return {block: saved[f"block.{block}"] for block in request["blocks"]}, []
    if "texts" not in request:
        return None, []
    texts, moments, lines = read_texts(request["texts"], request.get("n_texts")), {}, []
    for block in request["blocks"]:
        began = time.perf_counter()
        with bench.clock("statistics"):
            moments[block], n_tokens = second_moment(bench, block, texts)
        seconds = time.perf_counter() - began
        lines.append({"block": block, "texts": len(texts), "tokens": n_tokens, "seconds": seconds,
                      "tokens_per_second": n_tokens / seconds, "trace": moments[block].trace().item()})
    if "save" in request:
        save_file({f"block.{block}": moment for block, moment in moments.items()}, request["save"])
    return moments, lines


# --------------------------------------------------------------------------- requests


def prepare(bench, request, moments):
    """What a method needs once per model: the method, what it is given, and what to report of it."""
    method, how = request["method"], bench.how
    if method != "rome" and moments is None:
        sys.exit(f"{method} needs `texts` or `second_moments`")
    with bench.clock("prepare"):
        if method == "rome":
            return rome, moments and {block: torch.inverse(moment) for block, moment in moments.items()}, {}
        if method == "memit":
            return memit, moments, {}
        editor = AlphaEdit(how["threshold"], how["l2"], request["blocks"], moments)
        return editor, moments, {"null_space_ranks": editor.ranks()}


def check(bench, edit):
    fact = {"prompt": edit["prompt"].format(edit["subject"]), "target": with_space(edit["target_new"])}
    return taught(bench.model, *encode(bench.tok, fact))


def norms(bench, batch, deltas):
    return [{"batch": batch, "block": block, "delta_norm": delta.norm().item(), "weight_norm": bench.down(block).weight.norm().item()}
            for block, delta in deltas.items()]


def edit_all(bench, request, moments):
    """Every batch of edits, each checked after its own batch, and all again where they are kept."""
    method, given, report = prepare(bench, request, moments)
    edits, blocks = request["edits"], request["blocks"]
    keep = request.get("keep", False) or request["method"] == "alphaedit"
    lines, began_with = [], copies(bench, blocks)
    bench.model.requires_grad_(False)
    for i, batch in enumerate(chunks(edits, bench.how["batch"] or len(edits))):
        with bench.clock("edit"):
            deltas = method(bench, batch, blocks, given)
        lines += norms(bench, i, deltas)
        with bench.clock("edit"):
            apply(bench, deltas)
        with bench.clock("check"):
            for edit, found in zip(batch, bench.found[-len(batch):]):
                found["taught"] = check(bench, edit)
        if not keep:
            restore(bench, began_with)
    if keep:
        with bench.clock("check"):
            report["taught_in_the_end"] = sum(check(bench, edit) for edit in edits)
    return {**report, "edits": bench.found, "deltas": lines, "taught": sum(found["taught"] for found in bench.found)}


def settings(request):
    """The method's, with the request's over them; a name that it doesn't know is an error."""
    defaults, asked = DEFAULTS[request["method"]], request.get("settings", {})
    if unknown := set(asked) - set(defaults):
        sys.exit(f"{request['method']} has no settings {sorted(unknown)}; it has {sorted(defaults)}")
    return {**defaults, **asked}


def answer(request):
    imported = peak_rss_mb()
    bench = Bench(request, settings(request))
    loaded = peak_rss_mb()
    moments, made = statistics(bench, request)
    done = {} if request["method"] == "statistics" else edit_all(bench, request, moments)
    stages = {stage: round(seconds, 4) for stage, seconds in bench.clock.items()}
    whole = {f"{name}_seconds": stages.pop(name, 0.0) for name in ["load", "statistics", "prepare", "edit", "check"]}
    memory = {"peak": peak_rss_mb(), "loaded": loaded, "imports": imported}
    return {**whole, "stages": stages, **done, "statistics": made, "contexts": len(bench.contexts), "settings": bench.how,
            **{f"{name}_rss_bytes": int(mb * 2**20) for name, mb in memory.items()}}


def main():
    parser = argparse.ArgumentParser(description="Time the locating methods' published loops in PyTorch.")
    parser.add_argument("request", type=Path, nargs="?", help="a JSON file (default: stdin)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--easyedit", type=Path, help="make the edits by this checkout of zjunlp/EasyEdit")
    args = parser.parse_args()
    request = json.loads(args.request.read_text() if args.request else sys.stdin.read())
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if args.easyedit:
        import easyedit

        line = easyedit.answer(request, settings(request), contexts(request.get("prefixes", [])), Clock(), args.easyedit)
    else:
        line = answer(request)
    side = "easyedit" if args.easyedit else "pytorch"
    print(json.dumps({"side": side, "name": request["method"], "blocks": request["blocks"], **line, **machine(args)}))


if __name__ == "__main__":
    main()
