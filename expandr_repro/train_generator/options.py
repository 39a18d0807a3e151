"""The options of `train_generator`, and when they apply."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from expandr_repro.console.options import Options, When, option, positive
from expandr_repro.console.tables import FORMATS
from expandr_repro.training.options import allow_overlap, hold_out

# with both or neither of --pairs and --sft, that is what is wrong
PAIRS = When("", lambda request: bool(request.pairs) or not request.sft, lambda _: " has no meaning with --sft; leave it out")  # fmt: skip
SFT = When("", lambda request: bool(request.sft) or not request.pairs, lambda _: " has no meaning with --pairs; leave it out")  # fmt: skip
HUB = When("to a model of the hub; a folder is what it is", lambda request: not Path(request.model).is_dir())
VALIDATES = When("with --sft and --dev, which keeps topics for validation", lambda request: bool(request.sft and request.dev))  # fmt: skip

DATA = "what to learn from"
learn, base, how, out = (partial(option, group=title) for title in (DATA, "model", "how", "output"))


@dataclass(frozen=True)
class TrainRequest(Options):
    """What to train, and how."""

    pairs: str | None = learn(None, metavar="F", help="preference pairs, as `prefer` writes them: DPO")
    dev_pairs: str | None = learn(None, metavar="F", help="pairs to validate on (default: none)", applies=PAIRS)
    sft: str | None = learn(None, metavar="T", help="topics with expansions, or a collection (its train split, where none is named): supervised fine-tuning")  # fmt: skip
    expansions: str | None = learn(None, metavar="E", help="--sft: an augmented topics file or a packaged set (default: the topics' own)", applies=SFT)  # fmt: skip
    dev: int | None = learn(None, metavar="N", parse=positive, help="--sft: validate on N topics, drawn by seed (default: none)", applies=SFT)  # fmt: skip
    prompt: str | None = learn(None, metavar="P", help="--sft: the prompt, filled in with the title (default: q2d); pairs bring their own", applies=SFT)  # fmt: skip
    hold_out: tuple[str, ...] = hold_out(DATA)
    allow_overlap: bool = allow_overlap(DATA, VALIDATES)
    model: str = base("", required=True, metavar="M", help="a model folder or a hub name")
    revision: str | None = base(None, metavar="R", help="the hub revision", applies=HUB)
    adapter: str | None = base(None, metavar="A", help="a LoRA adapter of that model, to train further")
    device: str = base("auto", help="cpu, cuda or auto")
    trust_remote_code: bool = base(False, help="let the model's own code run; only for models you trust")
    config: str | None = how(None, metavar="C", help="dpo, sft, or a .yaml file with all their keys (default: dpo, with --sft sft)")  # fmt: skip
    changes: tuple[str, ...] = how((), "--set", metavar="KEY=VALUE", again=True, help="change one setting, e.g. learning_rate=5e-5; may be repeated")  # fmt: skip
    output: Path = out(Path(), required=True, metavar="DIR", help="the folder to write: adapter, tokenizer, manifest.json, metrics.jsonl, curves.png")  # fmt: skip
    merge: bool = out(False, help="write the model with the adapter merged into it, and the adapter in DIR/adapter")
    overwrite: bool = out(False, help="replace what is in DIR, if it is of another training")
    format: str = out("text", choices=FORMATS, help="of the report")
