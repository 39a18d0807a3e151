"""`train_generator`: a LoRA adapter from preference pairs by DPO, from topics with expansions by supervised fine-tuning, from rewarded topics by GRPO."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.applies import Applies
from expandr_repro.console.tables import FORMATS, Table
from expandr_repro.errors import ExpandrError

if TYPE_CHECKING:
    from expandr_repro.train_generator.run import TrainRequest
    from expandr_repro.train_generator.settings import TrainingSettings

log = logging.getLogger("expandr_repro.train_generator")  # not __name__, which is __main__ under `python -m`

EXAMPLES = """
python -m expandr_repro.train_generator --pairs pairs.jsonl --dev-pairs pairs.dev.jsonl --model meta-llama/Meta-Llama-3-8B-Instruct --output expandr-llm
python -m expandr_repro.train_generator --sft scifact/train --expansions claude.q2d --dev 80 --model small-llama --set lora_r=0 --output cold-start
python -m expandr_repro.train_generator --grpo --topics scifact/train --hold-out scifact/test --dev 80 --model meta-llama/Meta-Llama-3-8B-Instruct --set reward=delta-ndcg --output grpo
python -m expandr_repro.train_generator --pairs pairs.jsonl --model cold-start --set learning_rate=5e-5 --set seed=7 --merge --output tuned
accelerate launch --num_processes 4 -m expandr_repro.train_generator --pairs pairs.jsonl --model meta-llama/Meta-Llama-3-8B-Instruct --set gradient_accumulation=2 --output expandr-llm
"""


OF_LORA = ("lora_alpha", "lora_dropout", "lora_targets")


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = cli.parser(
        "train_generator",
        "Train the LLM that writes expansions: by DPO on preference pairs, (--sft) on topics and their expansions, or (--grpo) on its own texts as it writes them. "
        "The same command goes on where a killed one was.",
        EXAMPLES,
    )
    _add_data(made.add_argument_group("what to learn from"))
    _add_model(made.add_argument_group("model"))
    how = made.add_argument_group("how")
    how.add_argument("--config", metavar="C", help="dpo, sft, grpo, or a .yaml file with all their keys (default: as is trained)")  # fmt: skip
    how.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="change one setting, e.g. learning_rate=5e-5; may be repeated")  # fmt: skip
    out = made.add_argument_group("output")
    out.add_argument("--output", required=True, metavar="DIR", help="the folder to write: adapter, tokenizer, manifest.json, metrics.jsonl, curves.png")  # fmt: skip
    out.add_argument("--merge", action="store_true", help="write the model with the adapter merged into it, and the adapter in DIR/adapter")  # fmt: skip
    out.add_argument("--overwrite", action="store_true", help="replace what is in DIR, if it is of another training")
    out.add_argument("--format", choices=FORMATS, default="text", help="of the report (default: %(default)s)")
    return made


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--pairs", metavar="F", help="preference pairs, as `prefer` writes them: DPO")
    group.add_argument("--dev-pairs", metavar="F", help="pairs to validate on (default: none)")
    group.add_argument("--sft", metavar="T", help="topics with expansions, or a collection (its train split, where none is named): supervised fine-tuning")  # fmt: skip
    group.add_argument(
        "--grpo",
        action="store_true",
        help="write texts for --topics, reward them and learn from them as training goes: GRPO",
    )
    group.add_argument(
        "--topics",
        metavar="T",
        help="--grpo: a collection whose judgments and documents give the gold passages, e.g. scifact/train (its train split, where none is named)",
    )
    group.add_argument(
        "--answers", metavar="F", help="--grpo: augmented topics of `expand --prompt q2a`, for the reward `answer`"
    )
    group.add_argument(
        "--dev-topics", metavar="T", help="--grpo: validate by searches for these topics, which are not trained on"
    )
    group.add_argument(
        "--encoder", metavar="E", help="--grpo: the encoder that rewards and searches (default: all-MiniLM-L6-v2)"
    )
    group.add_argument(
        "--index", metavar="I", help="--grpo: what is searched (default: the collection's index, built once)"
    )
    group.add_argument("--expansions", metavar="E", help="--sft: an augmented topics file or a packaged set (default: the topics' own)")  # fmt: skip
    group.add_argument("--dev", type=cli.positive, metavar="N", help="--sft, --grpo: validate on N topics, drawn by seed (default: none)")  # fmt: skip
    group.add_argument("--prompt", metavar="P", help="--sft, --grpo: the prompt, filled in with the title (default: q2d); pairs bring their own")  # fmt: skip
    cli.add_hold_out(group)
    cli.add_allow_overlap(group)


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", required=True, metavar="M", help="a model folder or a hub name")
    group.add_argument("--revision", metavar="R", help="the hub revision")
    group.add_argument("--adapter", metavar="A", help="a LoRA adapter of that model, to train further")
    group.add_argument("--device", default="auto", help="cpu, cuda or auto (default: %(default)s)")
    group.add_argument("--trust-remote-code", action="store_true", help="let the model's own code run; only for models you trust")  # fmt: skip


RULES = (
    Applies(
        ("--revision",), "to a model of the hub; a folder is what it is", lambda args: not Path(args.model).is_dir()
    ),
    Applies(
        ("--allow-overlap",),
        "with --sft or --grpo and --dev, which keeps topics for validation, or --dev-topics",
        lambda args: bool((args.sft or args.grpo) and (args.dev or args.dev_topics)),
    ),
)  # fmt: skip
"""When options apply; those of one kind of training alone are checked in `_check_flags`."""


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    _check_flags(args)
    first = os.environ.get("RANK", "0") == "0"
    if not first:  # of several processes one speaks
        logging.getLogger("expandr_repro").setLevel(logging.ERROR)
    from expandr_repro.train_generator.run import train_generator

    try:
        manifest = train_generator(_request(args))
    except KeyboardInterrupt:
        log.info("the last checkpoint is kept; the same command goes on from there")
        raise
    if first:
        log.info("wrote %s", args.output)
        _report(manifest, args.format)
    return 0


KINDS = {"--pairs": "DPO", "--sft": "supervised fine-tuning", "--grpo": "GRPO"}

ONLY = {
    "--dev-pairs": ("--pairs",), "--expansions": ("--sft",), "--dev": ("--sft", "--grpo"), "--prompt": ("--sft", "--grpo"),
    "--topics": ("--grpo",), "--answers": ("--grpo",), "--dev-topics": ("--grpo",), "--encoder": ("--grpo",), "--index": ("--grpo",),
}  # fmt: skip
"""What belongs to some kinds of training alone."""


def _value(args: argparse.Namespace, flag: str) -> Any:
    return getattr(args, flag.removeprefix("--").replace("-", "_"))


def _check_flags(args: argparse.Namespace) -> None:
    """Refuse what belongs to another kind of training, rather than pass over it."""
    chosen = [kind for kind in KINDS if _value(args, kind)]
    if len(chosen) != 1:
        raise ExpandrError(
            "what to learn from: give --pairs F (DPO), --sft TOPICS (supervised fine-tuning) or --grpo --topics TOPICS (GRPO), one of them"
        )
    for flag, kinds in ONLY.items():
        if chosen[0] not in kinds and _value(args, flag) is not None:
            raise ExpandrError(f"{flag} has no meaning with {chosen[0]}; leave it out")
    if args.grpo and not args.topics:
        raise ExpandrError("--grpo: for which topics? Give --topics T, e.g. --topics scifact/train")


def _request(args: argparse.Namespace) -> TrainRequest:
    from expandr_repro.train_generator.examples import TrainingData, from_pairs, from_topics
    from expandr_repro.train_generator.online.data import OnlineData, OnlineRequest, find_data
    from expandr_repro.train_generator.run import TrainRequest
    from expandr_repro.train_generator.settings import DpoSettings, GrpoSettings, SftSettings
    from expandr_repro.training.settings import read_config

    settings: DpoSettings | SftSettings | GrpoSettings
    data: TrainingData | OnlineData
    if args.grpo:
        settings = read_config(GrpoSettings, args.config or "grpo", args.changes)
        asked = OnlineRequest(
            args.topics, args.answers, args.dev or 0, args.dev_topics, args.prompt, args.encoder or OnlineRequest.encoder, args.index,
            tuple(args.hold_out), args.allow_overlap,
        )  # fmt: skip
        data = find_data(asked, settings.reward, settings.seed)
    elif args.sft:
        settings = read_config(SftSettings, args.config or "sft", args.changes)
        data = from_topics(
            args.sft,
            args.expansions,
            args.prompt or "q2d",
            args.dev or 0,
            settings.seed,
            args.hold_out,
            args.allow_overlap,
        )
    else:
        settings = read_config(DpoSettings, args.config or "dpo", args.changes)
        data = from_pairs(args.pairs, args.dev_pairs, args.hold_out)
    request = TrainRequest(
        data=data, settings=settings, model=args.model, output=Path(args.output), adapter=args.adapter, merge=args.merge, overwrite=args.overwrite,
        device=args.device, revision=args.revision, trust_remote_code=args.trust_remote_code,
    )  # fmt: skip
    _warn_of_unused(args, settings, request.validates)
    return request


def _warn_of_unused(args: argparse.Namespace, settings: TrainingSettings, validates: bool) -> None:
    """Say which settings given by hand decide nothing."""
    given = {change.partition("=")[0].strip() for change in args.changes}
    unused = {
        "with --adapter, which brings its own": given & {"lora_r", *OF_LORA} if args.adapter else set(),
        "with lora_r 0, which trains all weights": set() if settings.lora_r or args.adapter else given & set(OF_LORA),
        "without anything to validate on": set()
        if validates
        else given & {"eval_steps", "keep_best", "best_by", "sample_texts", "dev_samples"},
        "with max_steps": given & {"epochs"} if settings.max_steps else set(),
    }
    for why, names in unused.items():
        if names:
            log.warning("--set %s: has no effect %s", ", ".join(sorted(names)), why)


def _report(manifest: dict[str, Any], form: str) -> None:
    result = manifest["result"]
    measures = Table(["", "before", "after"], [[name, *ends] for name, ends in result["before_after"].items()])
    if form == "json":
        parts = {key: result[key] for key in ("steps", "chosen_step", "texts") if key in result}
        print(json.dumps({**parts, "counts": manifest["counts"], "measures": json.loads(measures.render("json"))}, indent=2))  # fmt: skip
        return
    rows: list[list[object]] = [["steps", result["steps"]], ["the result is after step", result["chosen_step"]]]
    if "texts" in result:
        rows.append(["texts generated before and after, one for each validation prompt", result["texts"]])
    for name, counts in manifest["counts"].items():
        whose = "training" if name == "train" else "validation"
        rows += [[f"{whose}: {what}", n] for what, n in counts.items() if n]
    print(Table(["", "n"], rows).render(form) + "\n\n" + measures.render(form))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return cli.execute(build_parser(), run, argv, RULES)


if __name__ == "__main__":
    sys.exit(main())
