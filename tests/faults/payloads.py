"""What a stranger's file would do if it were let: write a marker. A test looks for it, and finds none."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


def pickled(marker: Path) -> bytes:
    """Return a pickle that writes the marker."""
    return pickle.dumps(Payload(marker))


def torch_pickled(marker: Path) -> bytes:
    """Return what `torch.save` makes of it: the form of pytorch_model.bin, optimizer.pt and their like."""
    import torch

    file = io.BytesIO()
    torch.save({"weights": Payload(marker)}, file)
    return file.getvalue()


def array_pickled(marker: Path) -> bytes:
    """Return a .npy file of objects, which is a pickle within."""
    import numpy as np

    file = io.BytesIO()
    np.save(file, np.array([Payload(marker)], dtype=object), allow_pickle=True)
    return file.getvalue()


def works(make: Any, folder: Path) -> bool:
    """Return whether a payload runs where it is let, so that a test proves something."""
    import numpy as np
    import torch

    marker = folder / "it-works"
    content = io.BytesIO(make(marker))
    {
        pickled: pickle.load,
        torch_pickled: lambda file: torch.load(file, weights_only=False),
        array_pickled: lambda file: np.load(file, allow_pickle=True),
    }[make](content)
    there = marker.exists()
    marker.unlink(missing_ok=True)
    return there


def bring_code(folder: Path, marker: Path) -> Path:
    """Let a model folder bring code of its own, for its configuration, model and tokenizer."""
    code = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n"
    bases = {
        "Config": "BertConfig",
        "Model": "BertModel",
        "Tokenizer": "PreTrainedTokenizerFast",
        "ForCausalLM": "LlamaForCausalLM",
    }
    classes = [f"from transformers import {base}\nclass {name}({base}): pass\n" for name, base in bases.items()]
    (folder / "evil.py").write_text(code + "".join(classes))
    kinds = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoModelForCausalLM": "evil.ForCausalLM"}
    change(folder / "config.json", auto_map=kinds, model_type="evil")
    change(
        folder / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]},
        tokenizer_class="Tokenizer",
    )
    return folder


def change(path: Path, **values: Any) -> None:
    """Change keys of a JSON file; None takes one out."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    content = {k: v for k, v in (content | values).items() if v is not None}
    path.write_text(json.dumps(content), encoding="utf-8")
