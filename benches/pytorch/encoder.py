"""The PyTorch side of the benchmark of encoders: one JSON line.

    python encoder.py MODEL_FOLDER MODE --texts FILE [--threads 2] [--adam fused]

MODEL_FOLDER is a BERT in the Hugging Face form, run in float32 on the CPU with transformers'
default attention (sdpa), eagerly; a head that it lacks is drawn. FILE holds the facts in tokens,
as this project's own benchmark prints them: `[{ids, at, object}]`, with masks at `at`. Modes:

    memorize  one step on all of them, every weight trained, logits at the masks alone, one of
              torch's AdamWs
    ftm       the plain loop on the first 32: the whole model forward in every step, logits and
              loss as transformers computes them, Adam on one block, weights clamped around where
              they began

Sequences are padded to the longest. Times are medians after a warm-up.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from transformers import BertForMaskedLM

from bench import ADAM, peak_rss_mb, summary, timed

IGNORED = -100


def padded(texts):
    """Token ids, attention mask and labels, `[n, longest]`."""
    longest = max(len(text["ids"]) for text in texts)
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, text in enumerate(texts):
        n = len(text["ids"])
        ids[row, :n] = torch.tensor(text["ids"])
        mask[row, :n] = 1
        labels[row, text["at"]] = torch.tensor(text["object"])
    return ids, mask, labels


def memorize(model, texts, repeats, adam):
    ids, mask, labels = padded(texts)
    asked = labels != IGNORED
    targets = labels[asked]

    def step(optimizer):
        hidden = model.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        F.cross_entropy(model.cls(hidden[asked]), targets).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.0, **ADAM[adam])
    times = summary(timed(lambda: step(optimizer), repeats))
    memory = peak_rss_mb()
    matrix = torch.rand(2048, 2048)
    products = timed(lambda: matrix @ matrix, repeats)
    return {**times, "adam": adam, "tokens_padded": ids.numel(), "matmul_gflops": 2 * 2048**3 / min(products) / 1e9, "peak_rss_mb": memory}


def ftm(model, texts, repeats, _adam, n_steps=20, radius=2e-3):
    ids, mask, labels = padded(texts[:32])
    block = model.config.num_hidden_layers * 2 // 3
    weights = list(model.bert.encoder.layer[block].parameters())
    model.requires_grad_(False)
    for weight in weights:
        weight.requires_grad_(True)
    start = [weight.detach().clone() for weight in weights]
    losses = []

    def whole():
        losses.clear()
        with torch.no_grad():
            for weight, began in zip(weights, start):
                weight.copy_(began)
        optimizer = torch.optim.Adam(weights, lr=5e-4, fused=True)
        for _ in range(n_steps):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                for weight, began in zip(weights, start):
                    weight.copy_(torch.clamp(weight, began - radius, began + radius))

    times = timed(whole, repeats)
    return {**summary(times), "steps": n_steps, "block": block, "first_loss": losses[0], "last_loss": losses[-1]}


def main():
    parser = argparse.ArgumentParser(description="Time PyTorch on an encoder.")
    parser.add_argument("model", type=Path)
    parser.add_argument("mode", choices=["memorize", "ftm"])
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--adam", choices=ADAM, default="fused")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = BertForMaskedLM.from_pretrained(args.model, dtype=torch.float32).eval()
    texts = json.loads(args.texts.read_text())
    line = {"memorize": memorize, "ftm": ftm}[args.mode](model, texts, args.repeats, args.adam)
    print(json.dumps({"name": args.mode, "peak_rss_mb": peak_rss_mb(), **line}))


if __name__ == "__main__":
    main()
