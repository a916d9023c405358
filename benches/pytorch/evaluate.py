#!/usr/bin/env python3
"""Asks the cases of a data set a prompt at a time, as EasyEdit's evaluation does.

    evaluate.py MODEL CASES.jsonl N --threads 2

For each question: a pass over the prompt with each of its two objects, and a greedy answer with
transformers' generate and its cache, up to 20 tokens or the end of a line. Prints a line of JSON.
"""

import argparse
import json
import re
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def plain(marked):
    """A prompt without the braces around its subject."""
    return re.sub(r"\\([{}\\#]|=>)|[{}]", lambda m: m.group(1) or "", marked)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("cases")
    parser.add_argument("n", type=int)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    with open(args.cases, encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines][: args.n]
    n_questions = 0
    start = time.perf_counter()
    with torch.no_grad():
        for case in cases:
            for question in case["questions"]:
                if question["axis"] == "generation":
                    continue
                n_questions += 1
                prompt = tokenizer(plain(question["prompt"]), return_tensors="pt").input_ids
                objects = [question["answers"][0] if question.get("answers") else None, question.get("other")]
                for names in objects:
                    if not names:
                        continue
                    name = names[0] if isinstance(names, list) else names
                    ids = tokenizer(" " + name, return_tensors="pt", add_special_tokens=False).input_ids
                    logits = model(torch.cat([prompt, ids], 1)).logits[0, prompt.shape[1] - 1 : -1]
                    logits.log_softmax(-1).gather(1, ids[0, :, None]).mean().item()
                    logits.argmax(-1).tolist()
                said = model.generate(
                    prompt, max_new_tokens=20, do_sample=False, stop_strings=["\n"], tokenizer=tokenizer,
                    pad_token_id=tokenizer.eos_token_id,
                )
                tokenizer.decode(said[0, prompt.shape[1] :])
    seconds = (time.perf_counter() - start) / len(cases)
    print(json.dumps({"side": "pytorch", "way": "a prompt at a time", "seconds_per_case": seconds, "questions": n_questions}))


if __name__ == "__main__":
    main()
