"""The same edits by a checkout of zjunlp/EasyEdit: what `locate.py --easyedit CHECKOUT` runs.

The editor is EasyEdit's own, on the CPU, with the hyper-parameters of its presets for Llamas except where the
request says otherwise. Its code is not changed; it is given what the other programs are given and is timed:

- the contexts and second moments are put where its modules cache them, so that it neither samples nor counts;
- functions that its editing modules call are wrapped by a clock, and the lines they print are read for the
  losses, which that code rounds to three places;
- the model is reached by a link named `llama` in the folder that it runs in, because EasyEdit chooses what to do
  by the name, and would by that of a folder above it.

ROME goes without the second moment, as every preset has it (`mom2_adjustment: false`). Its metrics before
and after the edits are not timed.
"""

import contextlib
import functools
import importlib
import io
import json
import os
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from safetensors.torch import load_file

from bench import peak_rss_mb

# What each method's main module calls, by the stage that it counts as. compute_v searches and divides.
METHODS = {
    "rome": ("ROME", "rome.rome_main", "ROMEHyperParams", {"compute_u": "keys", "compute_v": "value_search"}),
    "memit": ("MEMIT", "memit.memit_main", "MEMITHyperParams",
              {"compute_z": "value_search", "compute_ks": "keys", "get_module_input_output_at_words": "keys"}),
    "alphaedit": ("AlphaEdit", "alphaedit.AlphaEdit_main", "AlphaEditHyperParams",
                  {"compute_z": "value_search", "compute_ks": "keys", "get_module_input_output_at_words": "keys",
                   "get_project": "prepare"}),
}
SEARCHES = {"compute_v", "compute_z"}
NAMES = {"lr": "v_lr", "steps": "v_num_grad_steps", "kl": "kl_factor", "weight_decay": "v_weight_decay", "clamp": "clamp_norm_factor",
         "covariance_weight": "mom2_update_weight", "threshold": "nullspace_threshold", "l2": "L2"}
DOWN = "model.layers.{}.mlp.down_proj"


def why_not(request, how, checkout):
    """Why EasyEdit can't do what is asked; none where it can."""
    if not (checkout / "easyeditor/editors/editor.py").exists():
        return f"no checkout of zjunlp/EasyEdit at {checkout}"
    if not (checkout / "easyeditor/util/device.py").exists():
        return f"the checkout at {checkout} is of before easyeditor/util/device.py and runs on CUDA alone"
    if request["method"] not in METHODS:
        return "EasyEdit's statistics are of data sets that it downloads"
    if how["no_stop"] or how["stop"] != 0.05:
        return "EasyEdit's value search always stops at a loss of 0.05"
    if how.get("symmetric"):
        return "EasyEdit's ROME has no symmetric keys"
    if request["method"] != "rome" and "second_moments" not in request:
        return "EasyEdit would download a data set where the request has no `second_moments`"
    return None


def hparams(main, request, how, folder):
    """As hparams/ROME/llama-7b.yaml and its likes, in the fields that this release's class has."""
    name, _, kind, _ = METHODS[request["method"]]
    config = json.loads((folder / "config.json").read_text())
    # Parameters that are tied have one name in torch, which is why hparams/MEMIT/llama3.2-3b.yaml has this one.
    head = "model.embed_tokens" if config.get("tie_word_embeddings") else "lm_head"
    values = {
        "alg_name": name, "model_name": folder.name, "device": "cpu", "model_parallel": False, "fp16": False,
        "layers": request["blocks"], "layer_selection": "all", "fact_token": "subject_last",
        "v_loss_layer": config["num_hidden_layers"] - 1, "context_template_length_params": [[5, 10], [10, 10]],
        "rewrite_module_tmp": DOWN, "layer_module_tmp": "model.layers.{}", "mlp_module_tmp": "model.layers.{}.mlp",
        "attn_module_tmp": "model.layers.{}.self_attn", "ln_f_module": "model.norm", "lm_head_module": head,
        "mom2_adjustment": request["method"] != "rome", "mom2_dataset": "wikipedia", "mom2_n_samples": 100000, "mom2_dtype": "float32",
        "mom2_update_weight": 15000, "stats_dir": "stats", "P_loc": "null_space_project.pt", "batch_size": how["batch"] or len(request["edits"]),
        **{theirs: how[ours] for ours, theirs in NAMES.items() if ours in how},
    }
    known = {field.name for field in fields(getattr(main, kind))}
    return getattr(main, kind)(**{key: value for key, value in values.items() if key in known})


def timed(module, name, clock, stage, found):
    """Puts a clock around a function of `module`; of a value search, what it printed is read too."""
    inner = getattr(module, name)

    @functools.wraps(inner)
    def outer(*args, **kwargs):
        printed = io.StringIO()
        with clock(stage), contextlib.redirect_stdout(printed):
            result = inner(*args, **kwargs)
        losses = [float(line.split()[1]) for line in printed.getvalue().splitlines() if line.startswith("loss ")]
        if name in SEARCHES:
            found.append({"updates": len(losses) - 1, "loss": losses[-1]})
        return result

    setattr(module, name, outer)


def fill_caches(main, editor, request, contexts):
    """Contexts and second moments, where rome_main.py, memit_main.py and AlphaEdit_main.py look for them first."""
    main.CONTEXT_TEMPLATES_CACHE = contexts if request["method"] == "rome" else [contexts[:1], contexts[1:]]
    if request["method"] != "rome":
        saved, model_name = load_file(request["second_moments"]), editor.model.config._name_or_path.replace("/", "_")
        for block in request["blocks"]:
            main.COV_CACHE[model_name, DOWN.format(block)] = saved[f"block.{block}"]


def edit(editor, request):
    """The metrics of every edit, as EasyEdit makes them."""
    edits = request["edits"]
    asked = {
        "prompts": [edit["prompt"].format(edit["subject"]) for edit in edits], "subject": [edit["subject"] for edit in edits],
        "target_new": [edit["target_new"] for edit in edits], "verbose": False,
        "sequential_edit": request.get("keep", False) or request["method"] == "alphaedit",
    }
    return (editor.edit if request["method"] == "rome" else editor.batch_edit)(**asked)[0]


def run(request, how, contexts, clock, folder):
    _, module, _, stages = METHODS[request["method"]]
    main = importlib.import_module(f"easyeditor.models.{module}")
    base = importlib.import_module("easyeditor.editors.editor").BaseEditor
    imported = peak_rss_mb()
    with clock("load"):
        editor = base.from_hparams(hparams(main, request, how, folder))
    fill_caches(main, editor, request, contexts)
    loaded, found = peak_rss_mb(), []
    for name, stage in stages.items():
        timed(main, name, clock, stage, found)
    timed(editor, "apply_algo", clock, "edit", found)
    with clock("all"):
        metrics = edit(editor, request)
    return found, metrics, {"peak": peak_rss_mb(), "loaded": loaded, "imports": imported}


def answer(request, how, contexts, clock, checkout):
    """As `locate.py`'s, or `{"skipped": why}`."""
    request = {key: str(Path(value).resolve()) if key in ("model", "second_moments") else value for key, value in request.items()}
    if why := why_not(request, how, checkout.resolve()):
        return {"skipped": why}
    sys.path.insert(0, str(checkout.resolve()))
    # It writes logs, and the projector that it makes, into the folder that it runs in.
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch), contextlib.redirect_stdout(sys.stderr):
        os.symlink(request["model"], "llama")
        found, metrics, memory = run(request, how, contexts, clock, Path(scratch) / "llama")
    for line, request_edit, metric in zip(found, request["edits"], metrics):
        accuracy = metric["post"]["rewrite_acc"]
        line |= {"subject": request_edit["subject"], "target_new": request_edit["target_new"],
                 "taught": bool(min(accuracy if isinstance(accuracy, list) else [accuracy]) == 1)}
    edit_seconds = clock.pop("edit") - clock.get("prepare", 0.0)
    whole = {"load_seconds": clock.pop("load"), "prepare_seconds": clock.pop("prepare", 0.0), "edit_seconds": edit_seconds}
    whole["check_seconds"] = clock.pop("all") - edit_seconds - whole["prepare_seconds"]
    stages = {**clock, "solve": edit_seconds - sum(clock.values())}
    return {**{name: round(seconds, 4) for name, seconds in whole.items()}, "stages": {stage: round(s, 4) for stage, s in stages.items()},
            "edits": found, "taught": sum(line["taught"] for line in found), "contexts": len(contexts), "settings": how,
            **{f"{name}_rss_bytes": int(mb * 2**20) for name, mb in memory.items()}}
