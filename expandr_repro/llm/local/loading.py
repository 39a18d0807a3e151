"""Load a local causal language model with its tokenizer and adapter, or refuse it; nothing is initialised at random."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, MismatchError, NotAvailableError, SetupError

GENERATING = ("CausalLM", "LMHead", "ConditionalGeneration")
"""What the class of a model that writes text has in its name."""


def load_tokenizer(folder: Path, trust: bool = False) -> Any:
    """Load the tokenizer of a model folder.

    Raises:
        NotAvailableError: there is none.
    """
    from transformers import AutoTokenizer

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _no_model(folder, error) from error


def load_causal_lm(folder: Path, dtype: Any, trust: bool = False) -> Any:
    """Load a causal language model from safetensors.

    Args:
        folder: the model's.
        dtype: torch's, or "auto" for the checkpoint's own.
        trust: let the model's own code run.

    Raises:
        NotAvailableError: there is none.
        MismatchError: the weights are not those of the model that config.json describes, or it writes no text.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as noise

    if (folder / "adapter_config.json").is_file():  # transformers would look for its model somewhere else
        raise MismatchError(
            f"{folder}: is an adapter; wanted a model (an adapter goes with --adapter, next to the --model it is of)"
        )
    noise.disable_progress_bar()
    before = noise.get_verbosity()
    noise.set_verbosity_error()  # it prints a table of what is missing; that is said below, in one line
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, trust_remote_code=trust, use_safetensors=True, dtype=dtype, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise _no_model(folder, error) from error
    except RuntimeError as error:
        raise MismatchError(
            f"{folder}: the weights are of another shape than config.json says ({_reason(error)}); wanted both of one model"
        ) from error
    finally:
        noise.set_verbosity(before)
    named = getattr(model.config, "architectures", None) or []
    if named and not any(word in name for name in named for word in GENERATING):
        raise MismatchError(f"{folder}: is a {named[0]}, which writes no text; wanted a causal language model")
    if missing := sorted(report["missing_keys"]):
        raise MismatchError(
            f"{folder}: {len(missing)} weights of a {type(model).__name__} are not there (first: {missing[0]}); wanted a whole checkpoint of the model that config.json describes"
        )
    return model


def with_adapter(model: Any, adapter: Path, base: Path, trainable: bool = False) -> Any:
    """Put a LoRA adapter on a model.

    Args:
        model: of transformers.
        adapter: the adapter's folder.
        base: the model's folder, for the error.
        trainable: whether its weights are to be trained.

    Raises:
        SetupError: peft is not installed.
        MismatchError: the adapter is of another model.
        ExpandrError: it cannot be read.
    """
    try:
        from peft import PeftModel, get_peft_model_state_dict
    except ImportError as error:
        raise SetupError("--adapter needs peft; run `pip install expandr-repro[train]`") from error
    from safetensors import SafetensorError

    try:
        adapted = PeftModel.from_pretrained(model, adapter, is_trainable=trainable)
        for config in adapted.peft_config.values():
            config.base_model_name_or_path = str(base)  # else peft asks the hub about a name when it saves
        wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise MismatchError(f"--adapter {adapter}: does not fit the model {base.name} ({_reason(error)})") from error
    except (OSError, SafetensorError) as error:
        raise ExpandrError(f"--adapter {adapter}: cannot be read ({error})") from error
    # peft passes in silence over what only one of the two has
    if differing := sorted(key for key in wanted ^ _tensors(adapter) if "lora_" in key):
        raise MismatchError(
            f"--adapter {adapter}: does not fit the model {base.name} ({len(differing)} weights are in one and not in the other, first: {differing[0]})"
        )
    return adapted


def _tensors(folder: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        return set(file.keys())


def end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Return the token ids that end a text: the model's and the tokenizer's."""
    ids = set()
    for ends in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
        ids |= {i for i in (ends if isinstance(ends, list) else [ends]) if i is not None}
    return ids


def _no_model(folder: Path, error: Exception) -> NotAvailableError:
    return NotAvailableError(
        f"{folder}: no causal language model can be loaded from there ({_reason(error)}); wanted config.json, a tokenizer and safetensors weights"
    )


def _reason(error: Exception) -> str:
    message = str(error).strip()
    return message.splitlines()[0][:200] if message else type(error).__name__
