"""`expand`: topics and an LLM to augmented topics; each text is kept as it arrives and never paid for twice."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.applies import Applies
from expandr_repro.console.tables import FORMATS
from expandr_repro.data.overlap.trained_on import record_beside
from expandr_repro.errors import ExpandrError
from expandr_repro.io.outputs import EXPANDED, FAILURES, RECORD, check_output
from expandr_repro.io.paths import cache_dir
from expandr_repro.llm.base import BACKENDS
from expandr_repro.llm.prompts import find_prompt, prompts
from expandr_repro.llm.sampling import PRESETS

if TYPE_CHECKING:
    from expandr_repro.expand.run import ExpandRequest

log = logging.getLogger("expandr_repro.expand")  # also where this module runs as __main__

EXAMPLES = """
python -m expandr_repro.expand --topics scifact --backend openai --base-url http://localhost:8000/v1 --model meta-llama/Meta-Llama-3-8B-Instruct --output scifact.q2d.jsonl
python -m expandr_repro.expand --topics scifact --backend transformers --model meta-llama/Meta-Llama-3-8B-Instruct --adapter chengpingan/ExpandR_LLM --output scifact.q2d.jsonl
python -m expandr_repro.expand --topics nfcorpus/train --preset expandr-candidates --model gpt-4.1-nano --output candidates.jsonl --dry-run
python -m expandr_repro.expand show scifact.q2d.jsonl 1 3 5
python -m expandr_repro.expand stats scifact.q2d.jsonl
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = cli.parser(
        "expand",
        "Let an LLM write passages for topics. What is in the store already is not asked for again. "
        "`expand show FILE [QID ...]` prints expansions, `expand stats FILE` counts and lengths.",
        EXAMPLES,
    )
    _add_what(made.add_argument_group("what"))
    _add_sampling(made.add_argument_group("sampling"))
    _add_endpoint(made.add_argument_group("backend openai"))
    _add_local(made.add_argument_group("backends transformers and vllm"))
    out = made.add_argument_group("output")
    out.add_argument(
        "--output", metavar="F", help="augmented topics to write (.jsonl); what failed goes to F.failures.jsonl"
    )
    out.add_argument(
        "--store", metavar="S", help="where generations are kept (default: $EXPANDR_CACHE/expansions.sqlite)"
    )
    out.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be read and fetched, and how many requests and about how many tokens remain",
    )
    out.add_argument("--keep-refusals", action="store_true", help="write refusals, marked, instead of leaving them out")
    out.add_argument(
        "--retry-refused",
        action="store_true",
        help="ask again, with other seeds, for what was refused or came out empty",
    )
    out.add_argument("--format", choices=FORMATS, default="text", help="of the summary (default: %(default)s)")
    return made


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--topics", required=True, metavar="T",
                       help="a collection (pocket, scifact, scifact/train, irds:..., a Pyserini name), a topics file, or a BEIR folder")  # fmt: skip
    group.add_argument("--limit", type=cli.positive, metavar="N", help="expand the first N topics alone")
    group.add_argument("--qids", metavar="IDS", help="expand these topics alone: a file with one id a line, or ids with commas between")  # fmt: skip
    either = group.add_mutually_exclusive_group()
    either.add_argument("--method", metavar="M", help="a method in place of a prompt: `expand methods` lists them; or a .yaml file with one")  # fmt: skip
    either.add_argument("--prompt", default="q2d", metavar="P",
                       help=f"{', '.join(prompts())}; hyde for the collection's own; a .yaml or .txt file (default: %(default)s)")  # fmt: skip
    group.add_argument("--backend", default="openai", metavar="B",
                       help="; ".join(f"{name}: {b.summary}" for name, b in BACKENDS.items()) + " (default: %(default)s)")  # fmt: skip
    group.add_argument("--model", required=True, metavar="M", help="the endpoint's model, a hub name or a model folder")
    group.add_argument("--revision", metavar="R", help="the hub revision; for an endpoint a label of your own")
    group.add_argument("--passages", metavar="FILE", help="gold passages for q2a, JSONL with qid and text (default: by the collection's judgements)")  # fmt: skip
    group.add_argument("--examples-from", metavar="T", help="training topics for few-shot examples (default: the collection's train split)")  # fmt: skip
    group.add_argument("--language", metavar="L", help="for a prompt with {language}")
    group.add_argument("--context", metavar="C", help="passages for the prompts of a method: bm25:10, dense:10, a run file (RUN or RUN:10) or none (default: the method's)")  # fmt: skip
    group.add_argument("--context-encoder", metavar="E", help="of --context dense (default: all-MiniLM-L6-v2)")
    group.add_argument("--corpus", metavar="C", help="the documents that the passages are from: a collection or a corpus (default: the topics' own)")  # fmt: skip
    group.add_argument(
        "--prompt-bank", metavar="FILE", help="prompts of QueryGym's format, sent in place of the method's own"
    )
    group.add_argument("--window", type=cli.positive, metavar="N", help="tokens of prompt and answer that the model reads; passages that do not fit are left out (default: its own, where it is on this machine)")  # fmt: skip


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--preset", default="expandr-eval", metavar="P", choices=PRESETS,
                       help="expandr-eval: 1 sample at 1.0; expandr-candidates: 8 each at 0.8, 0.9, 1.0, 1.1 (default: %(default)s)")  # fmt: skip
    group.add_argument(
        "--temperature", type=temperatures, metavar="X", help="one or several, e.g. 0.8,1.0 (default: the preset's)"
    )
    group.add_argument(
        "--samples", type=cli.positive, metavar="N", help="texts at each temperature (default: the preset's)"
    )
    group.add_argument("--top-p", type=float, metavar="X", help="(default: 0.9)")
    group.add_argument("--max-tokens", type=cli.positive, metavar="N", help="new tokens at most (default: 512)")
    group.add_argument("--seed", type=int, metavar="N", help="each text's seed is derived from it (default: 42)")
    group.add_argument("--extra", type=json_object, metavar="JSON",
                       help='more settings for the backend, e.g. {"top_k": 50}; null takes one out of an endpoint\'s request')  # fmt: skip


def _add_endpoint(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--base-url", action="append", metavar="URL", help="e.g. http://localhost:8000/v1; several are served in turn (default: $OPENAI_BASE_URL, else OpenAI's)")  # fmt: skip
    group.add_argument("--api-key-env", default="OPENAI_API_KEY", metavar="NAME", help="environment variable that holds the key (default: %(default)s)")  # fmt: skip
    group.add_argument("--api", choices=("chat", "completions"), default="chat", help="completions: plain text, for base models (default: %(default)s)")  # fmt: skip
    group.add_argument(
        "--concurrency", type=cli.positive, default=32, metavar="N", help="requests at a time (default: %(default)s)"
    )
    group.add_argument(
        "--timeout", type=float, default=120.0, metavar="S", help="seconds for one answer (default: %(default)s)"
    )
    group.add_argument(
        "--retries", type=int, default=8, metavar="N", help="further tries of a request (default: %(default)s)"
    )
    group.add_argument("--backoff", type=float, default=0.5, metavar="S", help="seconds before the second try; then doubling (default: %(default)s)")  # fmt: skip


def _add_local(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--adapter", metavar="A", help="a LoRA adapter: a folder or a hub name")
    group.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: %(default)s)")
    group.add_argument(
        "--precision", default="auto", help="bf16, fp16, fp32 or auto: bf16 on a GPU (default: %(default)s)"
    )
    group.add_argument("--batch-size", type=cli.positive, metavar="N", help="texts at a time (default: 32; vllm 256)")
    group.add_argument("--tensor-parallel", type=cli.positive, default=1, metavar="N", help="vllm: GPUs that share one copy (default: %(default)s)")  # fmt: skip
    group.add_argument("--data-parallel", type=cli.positive, default=1, metavar="N", help="copies of the model, each a process with GPUs of its own (default: %(default)s)")  # fmt: skip
    group.add_argument(
        "--trust-remote-code", action="store_true", help="let the model's own code run; only for models you trust"
    )


def temperatures(text: str) -> tuple[float, ...]:
    """Parse numbers separated by commas (an argparse type)."""
    return tuple(float(part) for part in text.split(","))


temperatures.__name__ = "list of numbers"


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object (an argparse type)."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text} is no JSON object")
    return value


json_object.__name__ = "JSON object"


def _elsewhere(args: Any) -> str:
    return f" has no meaning for --backend {args.backend}; leave it out or choose another backend"


def _takes(option: str) -> Callable[[Any], bool]:
    """Hold for backends that use an option, and for one that there is not, which is refused by its name."""

    def holds(args: Any) -> bool:
        return args.backend not in BACKENDS.names() or option in BACKENDS.find(args.backend).options

    return holds


def _prompt_has(part: str) -> Callable[[Any], bool]:
    """Hold where the prompt has a placeholder; also where which prompt it is depends on the topics."""

    def holds(args: Any) -> bool:
        from expandr_repro.llm.templates import fields_of

        try:
            return part in fields_of(find_prompt(args.prompt)[1].template)
        except ExpandrError:
            return True

    return holds


OPTIONS = ("base_url", "api_key_env", "api", "concurrency", "timeout", "retries", "backoff", "adapter", "precision", "batch_size",
           "data_parallel", "trust_remote_code", "device", "tensor_parallel")  # fmt: skip
"""Options that only some backends use."""

RULES = (
    *(Applies((f"--{option.replace('_', '-')}",), "", _takes(option), _elsewhere) for option in OPTIONS),
    Applies(
        ("--revision",),
        "to a model of the hub and, as a label, to an endpoint's; a folder is what it is",
        lambda args: "base_url" in BACKENDS.find(args.backend).options or not Path(args.model).is_dir(),
    ),
    Applies(("--passages",), "to a prompt with {passage}, such as q2a", lambda args: not args.method and _prompt_has("passage")(args)),
    Applies(("--examples-from",), "to a prompt with {examples}", lambda args: bool(args.method) or _prompt_has("examples")(args)),
    Applies(("--context", "--context-encoder", "--corpus", "--prompt-bank", "--window"), "with --method", lambda args: bool(args.method)),
    Applies(
        ("--preset",),
        "without --temperature and --samples, which together replace it",
        lambda args: args.temperature is None or args.samples is None,
    ),
)  # fmt: skip
"""When options apply."""


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    if not args.output and not args.dry_run:
        raise ExpandrError("--output is missing: where to write the augmented topics (or --dry-run to count only)")
    if args.output:
        _check_place(Path(args.output), args)
    if args.timeout <= 0 or args.retries < 0 or args.backoff < 0:
        raise ExpandrError("--timeout is above 0, --retries and --backoff are 0 or more")
    if args.dry_run:
        from expandr_repro.preview import plan as dry_run

        if not dry_run.expand(args):
            return 0
    if args.data_parallel > 1 and "WORLD_SIZE" not in os.environ and not args.dry_run:
        from expandr_repro.expand.shares import launch

        return launch(args.argv, args.data_parallel, args.tensor_parallel)
    from expandr_repro.expand.run import expand

    try:
        return expand(_request(args))
    except KeyboardInterrupt:
        log.info("what has arrived is kept; the same command goes on from there")
        raise


def _request(args: argparse.Namespace) -> ExpandRequest:
    from expandr_repro.expand.run import ExpandRequest
    from expandr_repro.llm.base import GeneratorOptions

    options = GeneratorOptions(
        model=args.model, revision=args.revision, adapter=args.adapter, base_url=tuple(args.base_url or ()), api_key_env=args.api_key_env,
        api=args.api, concurrency=args.concurrency, timeout=args.timeout, retries=args.retries, backoff=args.backoff, device=args.device,
        precision=args.precision, batch_size=args.batch_size, tensor_parallel=args.tensor_parallel, trust_remote_code=args.trust_remote_code,
    )  # fmt: skip
    plan = {"temperatures": args.temperature, "samples": args.samples, "top_p": args.top_p, "max_tokens": args.max_tokens,
            "seed": args.seed, "extra": args.extra}  # fmt: skip
    return ExpandRequest(
        topics=args.topics, prompt=args.prompt, backend=args.backend, options=options, preset=args.preset, plan=plan,
        output=Path(args.output) if args.output else None, store=Path(args.store) if args.store else cache_dir() / "expansions.sqlite",
        passages=args.passages, examples_from=args.examples_from, language=args.language, dry_run=args.dry_run,
        keep_refusals=args.keep_refusals, retry_refused=args.retry_refused, form=args.format, limit=args.limit, qids=args.qids,
        method=args.method, context=args.context, context_encoder=args.context_encoder, corpus=args.corpus, prompt_bank=args.prompt_bank,
        window=args.window,
    )  # fmt: skip


def _check_place(output: Path, args: argparse.Namespace) -> None:
    """Find out before anything is paid for that the output cannot be written, or would replace something else."""
    reads = [args.topics, args.passages, args.examples_from, args.prompt, args.store]
    check_output("--output", output, EXPANDED, reads)
    check_output("--output", Path(f"{output}.failures.jsonl"), FAILURES, reads)
    check_output("--output", record_beside(output), RECORD, reads)
    if any(word in str(output) for word in ("beir", "cacm")):
        log.warning("--output %s: stock Pyserini misreads topics files with `beir` or `cacm` in their path", output)


def build_reading_parser(word: str) -> argparse.ArgumentParser:
    """Return the parser of `expand show` or `expand stats`."""
    summary = {
        "show": "Print topics with their prompt and their expansions.",
        "stats": "Print counts and lengths of expansions.",
    }
    made = cli.parser(f"expand {word}", summary[word], f"python -m expandr_repro.expand {word} scifact.q2d.jsonl")
    made.add_argument("file", metavar="F", help="augmented topics")
    if word == "show":
        made.add_argument("qids", nargs="*", metavar="QID", help="topics (default: all)")
        made.add_argument("--store", metavar="S", help="where to look for prompts that are none of ours (default: $EXPANDR_CACHE/expansions.sqlite)")  # fmt: skip
    else:
        made.add_argument("--format", choices=FORMATS, default="text", help="(default: %(default)s)")
    return made


def build_methods_parser() -> argparse.ArgumentParser:
    """Return the parser of `expand methods`."""
    made = cli.parser("expand methods", "List the expansion methods: what they write, what they need, and their sources.", "python -m expandr_repro.expand methods")  # fmt: skip
    made.add_argument("--format", choices=FORMATS, default="text", help="(default: %(default)s)")
    return made


def methods(args: argparse.Namespace) -> int:
    """Print the table of methods."""
    from expandr_repro.expand.methods.listing import methods_table

    print(methods_table().render(args.format))
    return 0


def show(args: argparse.Namespace) -> int:
    """Print topics with their prompt and their expansions."""
    from expandr_repro.expand.show import shown

    for text in shown(args.file, args.qids, Path(args.store) if args.store else cache_dir() / "expansions.sqlite"):
        print(text)
    return 0


def stats(args: argparse.Namespace) -> int:
    """Print counts and lengths of expansions."""
    from expandr_repro.data.topics import read_topics
    from expandr_repro.expand.stats import counts_table, lengths_table

    topics = read_topics(args.file)
    tables = [counts_table(topics), lengths_table(topics)]
    if args.format == "json":
        print(json.dumps([json.loads(table.render("json")) for table in tables], indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(table.render(args.format) for table in tables))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] == "methods":
        return cli.execute(build_methods_parser(), methods, words[1:])
    if words and words[0] in ("show", "stats"):
        return cli.execute(build_reading_parser(words[0]), {"show": show, "stats": stats}[words[0]], words[1:])
    made = build_parser()
    made.set_defaults(argv=words)
    return cli.execute(made, run, words, RULES)


if __name__ == "__main__":
    sys.exit(main())
