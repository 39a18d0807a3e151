"""Save the result of a training: the adapter, or the whole model, with the tokenizer; no pickles, no paths of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from expandr_repro.io.files import read_text, write_json
from expandr_repro.llm.local.loading import load_causal_lm, load_tokenizer, with_adapter
from expandr_repro.train_generator.trl.quiet import quiet_libraries

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def write_adapter(checkpoint: Path, folder: Path, base: str) -> None:
    """Copy the adapter of a checkpoint.

    Args:
        checkpoint: where it is.
        folder: where it goes; made where it is not there.
        base: the name of the model it is for.
    """
    folder.mkdir(exist_ok=True)
    config, weights = ADAPTER
    values = json.loads(read_text(checkpoint / config))
    values["base_model_name_or_path"] = base
    if isinstance(values.get("target_modules"), list):  # of a set: another order in each process
        values["target_modules"] = sorted(values["target_modules"])
    write_json(folder / config, dict(sorted(values.items())))
    shutil.copyfile(checkpoint / weights, folder / weights)


def write_merged(adapter: Path, base: Path, folder: Path, trust: bool) -> None:
    """Write a model with its adapter merged, in the precision of its own checkpoint.

    Args:
        adapter: the adapter's folder.
        base: the model's folder.
        folder: where it goes.
        trust: let the model's own code run.
    """
    with quiet_libraries():
        merged = with_adapter(load_causal_lm(base, "auto", trust), adapter, base).merge_and_unload()
        merged.save_pretrained(folder)


def write_model(checkpoint: Path, base: Path, folder: Path) -> None:
    """Copy the model of a checkpoint in which all weights were trained, or the base itself.

    Its configuration is the base's but for the precision: training switches the cache off and sets a padding token.
    """
    for pattern in ("*.safetensors", "*.safetensors.index.json"):
        for path in sorted(checkpoint.glob(pattern)):
            shutil.copyfile(path, folder / path.name)
    trained = json.loads(read_text(checkpoint / "config.json"))
    config = json.loads(read_text(base / "config.json"))
    if "dtype" in trained:  # the word of transformers 5
        config = {k: v for k, v in config.items() if k != "torch_dtype"} | {"dtype": trained["dtype"]}
    write_json(folder / "config.json", config)
    if (base / "generation_config.json").is_file():
        shutil.copyfile(base / "generation_config.json", folder / "generation_config.json")


def write_tokenizer(base: Path, folder: Path, trust: bool) -> None:
    """Write the model's tokenizer and chat template, as they were."""
    load_tokenizer(base, trust).save_pretrained(folder)
