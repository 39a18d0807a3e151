"""Options that choose an encoder and say how it runs, included in those of every command that encodes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from expandr_repro.console.options import Options, When, natural, option, positive
from expandr_repro.data.specs import POOLINGS, EncoderSpec
from expandr_repro.encoders.protocol import PRECISIONS

DEFAULT = "all-MiniLM-L6-v2"


def _pyserini_class(options: EncoderOptions) -> str:
    return options.name.removeprefix("pyserini:").partition(":")[0] if options.name.startswith("pyserini:") else ""


OURS = When(
    "to encoders that this toolkit runs itself, not to pyserini:CLASS:MODEL",
    lambda options: not _pyserini_class(options),
)
OURS_OR_AUTO = When(
    "to encoders that this toolkit runs itself and to pyserini:auto:MODEL; Pyserini's other classes have their own",
    lambda options: _pyserini_class(options) in ("", "auto"),
)


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(Options):
    """What the command line may say of an encoder; None leaves the spec's value."""

    name: str = option(DEFAULT, "--encoder", metavar="E", help="a name (see docs), a model folder, a hub name, a .yaml spec, or pyserini:CLASS:MODEL")  # fmt: skip
    device: str = option("auto", parse=str, help="cpu, cuda, cuda:N or auto")
    precision: str = option("fp32", choices=PRECISIONS, applies=OURS, help="precision of the model's arithmetic (default: {default}, exact)")  # fmt: skip
    batch_tokens: int = option(0, metavar="N", parse=natural, applies=OURS, help="tokens per batch (default: by device)")  # fmt: skip
    compile: bool = option(False, applies=OURS, help="compile the model with torch.compile: a tenth faster after half a minute; bf16 or fp16 on a GPU")  # fmt: skip
    pooling: str | None = option(None, metavar="P", applies=OURS_OR_AUTO, help=f"pooling of a checkpoint without such a setting: {', '.join(POOLINGS)}")  # fmt: skip
    normalize: bool | None = option(None, applies=OURS_OR_AUTO, help="whether vectors get unit length, for a checkpoint without such a setting")  # fmt: skip
    query_prefix: str | None = option(None, metavar="S", parse=str, applies=OURS_OR_AUTO, help="text before each query, in place of the encoder's own prefix")  # fmt: skip
    document_prefix: str | None = option(None, metavar="S", parse=str, applies=OURS_OR_AUTO, help="text before each document, in place of the encoder's own prefix")  # fmt: skip
    max_length: int | None = option(None, metavar="N", parse=positive, help="tokens per text at most, in place of the encoder's own limit")  # fmt: skip
    trust_remote_code: bool = option(False, help="run the model's own code; only for models you trust")

    def applied_to(self, spec: EncoderSpec) -> EncoderSpec:
        """Return the spec with these options laid over it."""
        same = ("pooling", "normalize", "query_prefix", "document_prefix")
        changes: dict[str, Any] = {name: getattr(self, name) for name in same}
        changes |= {"query_max_length": self.max_length, "document_max_length": self.max_length}
        changes["trust_remote_code"] = self.trust_remote_code or None
        return dataclasses.replace(spec, **{k: v for k, v in changes.items() if v is not None})
