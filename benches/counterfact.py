#!/usr/bin/env python3
"""CounterFact cases as facts with true paraphrases, for `cargo bench -p retcon --bench quality`.

    benches/counterfact.py DATA N > facts.jsonl

DATA is a folder with `counterfact/counterfact-edit.jsonl.gz` (EasyEdit's flat form),
`counterfact/case_relations.jsonl` and `trex/pararel_patterns.jsonl`. Most `rephrase_prompt`s of the flat
form are no paraphrases, so paraphrases are the patterns of ParaRel for the case's relation that end with
the object. Cases are taken at even distances, so that all relations are among them.
"""

import gzip
import json
import sys
from pathlib import Path


def lines(path):
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8")
    with opened as file:
        return [json.loads(line) for line in file]


def fact(case, patterns):
    """A case as a fact of ours; None where its relation has no pattern in other words."""
    subject, prompt = case["subject"], case["prompt"]
    if prompt.count(subject) != 1:
        return None
    asked = []
    for pattern in patterns:
        if not pattern["object_last"] or pattern["pattern"].count("[X]") != 1:
            continue
        before = pattern["pattern"].split("[Y]")[0].rstrip()
        if before.replace("[X]", subject) != prompt:
            asked.append(before.replace("[X]", "{" + subject + "}"))
    if not asked:
        return None
    return {
        "prompt": prompt.replace(subject, "{" + subject + "}"),
        "subject": subject,
        "target_new": case["target_new"],
        "target_true": case["ground_truth"],
        "paraphrases": asked,
        "neighbors": [{"prompt": case["locality_prompt"], "answer": case["locality_ground_truth"]}],
    }


def main():
    data, n = Path(sys.argv[1]), int(sys.argv[2])
    relations = {row["case_id"]: row["relation"] for row in lines(data / "counterfact/case_relations.jsonl")}
    patterns = {}
    for row in lines(data / "trex/pararel_patterns.jsonl"):
        patterns.setdefault(row["relation"], []).append(row)
    made, seen = [], set()
    for case in lines(data / "counterfact/counterfact-edit.jsonl.gz"):
        made.append(fact(case, patterns.get(relations.get(case["case_id"]), [])))
    made = [row for row in made if row and not (row["prompt"] in seen or seen.add(row["prompt"]))]
    step = len(made) / n
    for i in range(n):
        print(json.dumps(made[int(i * step)], ensure_ascii=False))


if __name__ == "__main__":
    main()
