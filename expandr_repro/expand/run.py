"""Run `expand`: find the topics, the prompt and the generator, generate, write and report."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.console.progress import counted, text_progress
from expandr_repro.console.tables import Table
from expandr_repro.data.collections import TopicSet, find_topics, select_topics
from expandr_repro.data.overlap.trained_on import TrainedOn, carried_on, record_beside, record_hash, write_record
from expandr_repro.data.passages import draw_examples, gold_passages, training_split
from expandr_repro.data.topics import write_topics
from expandr_repro.expand.budget import Budget
from expandr_repro.expand.fill import Expansions
from expandr_repro.expand.methods.context import Function
from expandr_repro.expand.methods.run import PreparedMethod, prepared_method
from expandr_repro.expand.options import ExpandRequest, store_file
from expandr_repro.expand.shares import Share
from expandr_repro.expand.store import Store
from expandr_repro.expand.tasks import Assembly, Failure, Remaining, Task
from expandr_repro.io.files import atomic_text
from expandr_repro.llm.base import Generator, GeneratorOptions, load_generator
from expandr_repro.llm.costs import PRICE, Prices, cost_path, read_prices, write_costs
from expandr_repro.llm.prompts import Prompt, find_prompt, prepare
from expandr_repro.llm.sampling import SamplingPlan, plan_named

log = logging.getLogger(__name__)

CHARACTERS_A_TOKEN = 4
"""For the estimate of a dry run: about four characters of English make a token."""


def expand(request: ExpandRequest) -> int:
    """Generate expansions, and write them.

    Returns:
        0 where everything was generated that can be (the model may have refused some of it), 1 where no expansion was generated, 2 where something
        was not generated.

    Raises:
        ExpandrError: whatever the user can cause; the message says what to do.
    """
    prices = read_prices(request.prices) if request.prices else None
    with prepared(request, prices=prices) as ready:
        model = ready.generator.identity.model
        if request.dry_run:
            print(_remaining_table(*ready.remaining(), prices, model).render(request.format))
            return 0
        assembly = ready.generate()
    if assembly is None:
        return 0
    assembly.rows += _price_rows(request, assembly, prices, model)
    summary = _summary(ready, assembly)
    return _finish(request, assembly, summary, ready.record, model)


@dataclass(frozen=True)
class Prepared:
    """A generation that is about to begin.

    Attributes:
        topics: to be expanded.
        generator: of the texts.
        work: on an open store.
        record: what the generator was trained on.
        budget: what may be spent; None for no limit.
    """

    topics: TopicSet
    generator: Generator
    work: Expansions
    record: list[TrainedOn]
    budget: Budget | None = None

    @property
    def prompt(self) -> tuple[str, str]:
        """What the summary says of the prompt."""
        prompt = self.work.task.prompt
        return "prompt", f"{prompt.name}, version {prompt.version}"

    def remaining(self) -> tuple[Remaining, int]:
        """Count what the store lacks, and all texts."""
        return self.work.remaining(), len(self.topics.topics) * len(self.work.settings)

    def generate(self) -> Assembly | None:
        """Generate what the store lacks; None in all processes but the first, which puts the output together."""
        share = Share.of_environment()
        if self.budget:
            self.budget.limit /= share.world
        mine = share.of(self.topics.topics)
        with text_progress(len(mine), len(self.work.settings)) as bar:
            self.work.run(self.generator, mine, bar)
        reports = share.gather(self.work.report())
        return self.work.assemble(reports) if share.first else None


@contextmanager
def prepared(
    request: ExpandRequest,
    topics: TopicSet | None = None,
    context: Function | None = None,
    prices: Prices | None = None,
) -> Iterator[Prepared | PreparedMethod]:
    """Find what a request names, and open the store.

    Args:
        request: what and how.
        topics: in place of those that the request names.
        context: a function that gives passages for the prompts of a method.
        prices: for a budget.
    """
    plan = plan_named(request.preset, **request.plan)
    generator = load_generator(request.backend, request.generator)
    with ExitStack() as held:
        if request.engine.engine == "ray" and not request.dry_run:
            from expandr_repro.llm.on_ray import spread

            generator = spread(generator, request.backend, request.generator, request.engine, held)
        price = prices.price(generator.identity.model) if prices else None
        budget = Budget(request.budget, price) if price and request.budget else None
        chosen = topics or find_topics(request.topics)
        if request.method:
            record = _trained_on(generator, request.generator)
            with prepared_method(request, chosen, generator, record, context, budget) as ready:
                yield ready
            return
        prompt = _prompt(request, chosen, plan)  # the same for some of the topics as for all
        some = select_topics(chosen, request.limit, request.qids)
        passages = gold_passages(some, request.passages) if prompt.needs_passage else {}
        task = Task(some.topics, prompt, plan, passages, request.keep_refusals, request.retry_refused)
        with Store(store_file(request.store)) as store:
            record = _trained_on(generator, request.generator)
            yield Prepared(
                some,
                generator,
                Expansions(task, generator.identity, store, record_hash(record) if record else None, budget),
                record,
                budget,
            )


def _trained_on(generator: Generator, options: GeneratorOptions) -> list[TrainedOn]:
    """Return what the model and its adapter were trained on, as far as their folders on this machine say."""
    weights = getattr(generator, "weights", None)
    folders = (weights.folder, weights.adapter) if weights else (Path(options.model), None)
    return [part for folder in folders if folder and folder.is_dir() for part in carried_on(folder)]


def _prompt(request: ExpandRequest, topics: TopicSet, plan: SamplingPlan) -> Prompt:
    name, spec = find_prompt(request.prompt, topics.collection.dataset if topics.collection else None)
    examples: list[tuple[str, str]] = []
    if spec.examples:
        source = request.examples_from or training_split(topics)
        examples = draw_examples(source, spec.examples, plan.seed, [t.title for t in topics.topics])
    return prepare(name, spec, examples, request.language)


def _finish(request: ExpandRequest, assembly: Assembly, summary: Table, record: list[TrainedOn], model: str) -> int:
    if output := request.output:
        failed = failures_path(request.output)
        again = (lambda: _write_failures(failed, assembly.failures)) if assembly.failures else None
        beside = record_beside(request.output)
        remember = (lambda: write_record(beside, record)) if record else None
        spent = list(assembly.spent.values())
        wanted = request.costs or request.prices or cost_path(output).exists()
        counted_tokens = any(s.tokens_in or s.tokens_out for s in spent)
        costs = (lambda: write_costs(output, model, spent)) if wanted and counted_tokens else None
        write_topics(output, assembly.topics, about={beside: remember, cost_path(output): costs, failed: again})
    print(summary.render(request.format))
    if request.output:
        log.info(
            "wrote %s: %s, %s",
            request.output,
            counted(len(assembly.topics), "topic"),
            counted(assembly.texts, "expansion"),
        )
    if not assembly.failures:
        return 0
    for line in explained(assembly.failures):
        log.warning("%s", line)
    log.warning("all of them are listed in %s", failures_path(request.output))
    return 2 if any(f.kind == "failed" for f in assembly.failures) else int(not assembly.texts)


def explained(failures: Sequence[Failure]) -> Iterator[str]:
    """Yield, of what is missing, how much it is, why, and what brings it."""
    kinds = Counter(f.kind for f in failures)
    first = {f.kind: f for f in reversed(failures)}
    for reason, count in Counter(f.reason for f in failures if f.kind == "failed").most_common(3):
        yield f"{_missing(count)}: {reason}"
    if kinds["failed"]:
        yield f"the same command asks again for {'it' if kinds['failed'] == 1 else 'these'}"
    if kinds["refused"]:
        seen = first["refused"]
        yield (
            f"{_missing(kinds['refused'])}: the model refused (topic {seen.qid}, {seen.reason}). The same command does not ask again; "
            "--retry-refused does, with other seeds, and --keep-refusals writes refusals, marked"
        )
    if kinds["empty"]:
        yield (
            f"{_missing(kinds['empty'])}: the model returned no text ({first['empty'].reason}). The same command does not ask again; --retry-refused does, with other seeds"
        )
    if kinds["unread"]:
        yield (
            f"{_missing(kinds['unread'])}: nothing of the wanted form in the answer (topic {first['unread'].qid}, {first['unread'].reason}). "
            "The same command does not ask again; --retry-refused does, with other seeds"
        )
    if kinds["skipped"]:
        yield f"{_missing(kinds['skipped'])}: not asked for (topic {first['skipped'].qid}, {first['skipped'].reason})"
    if kinds["cut"]:
        yield (
            f"{_missing(kinds['cut'])}: {first['cut'].reason}, as happens to models that reason first. Asking again would end the same way: give a higher --max-tokens"
        )


def _missing(count: int) -> str:
    return f"{counted(count, 'expansion')} {'is' if count == 1 else 'are'} missing"


def failures_path(output: Path | None) -> Path:
    """Return where the samples that are missing are listed."""
    return Path(f"{output}.failures.jsonl")


def _write_failures(path: Path, failures: list[Failure]) -> None:
    with atomic_text(path) as file:
        for failure in failures:
            record = {"qid": failure.qid, "sample": failure.sample, "reason": failure.reason}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _price_rows(
    request: ExpandRequest, assembly: Assembly, prices: Prices | None, model: str
) -> list[tuple[str, float | str]]:
    """Return what this run and all of the output cost, and what is left of the budget."""
    if prices is None:
        return []
    price = prices.price(model)
    run = assembly.paid if request.budget else price.of(assembly.tally.tokens_in, assembly.tally.tokens_out)
    spent = assembly.spent.values()
    whole = price.of(sum(s.tokens_in for s in spent), sum(s.tokens_out for s in spent))
    amounts = {"price": run, PRICE: whole * 1000 / max(len(assembly.topics), 1)}
    if request.budget:
        amounts["left of --budget"] = left = max(request.budget - run, 0.0)
        currency = f" {prices.currency}" if prices.currency else ""
        log.info("--budget %g%s: %.6f spent, %.6f left", request.budget, currency, run, left)
    return [
        (prices.label(name), round(x, 6) if request.format == "json" else f"{x:.6f}") for name, x in amounts.items()
    ]


def _summary(ready: Prepared | PreparedMethod, assembly: Assembly) -> Table:
    tally, identity = assembly.tally, ready.generator.identity
    return Table(
        ["", "expand"],
        [
            ["topics", f"{ready.topics.label}: {len(assembly.topics)}"],
            list(ready.prompt),
            ["model", f"{identity.model} ({identity.backend})"],
            ["requests", tally.requests],
            ["retries", tally.retries],
            ["tokens in", tally.tokens_in],
            ["tokens out", tally.tokens_out],
            ["expansions", assembly.texts],
            ["truncated", assembly.truncated],
            ["refused", assembly.refused],
            ["empty", assembly.empty],
            ["missing", len(assembly.failures)],
            *map(list, assembly.rows),
        ],
    )


def _remaining_table(left: Remaining, texts: int, prices: Prices | None, model: str) -> Table:
    tokens_in, likely = left.prompt_characters // CHARACTERS_A_TOKEN, left.likely_tokens_out
    prices_left: list[list[object]] = []
    if prices:
        price = prices.price(model).of
        prices_left = [
            [prices.label("price, about"), None if likely is None else price(tokens_in, likely)],
            [prices.label("price, longest answers"), price(tokens_in, left.most_tokens_out)],
        ]
    return Table(
        ["", "remaining"],
        [
            ["topics", left.topics],
            ["requests", left.requests],
            ["of texts", texts],
            ["tokens in, about", tokens_in],
            ["tokens out, about", None if likely is None else round(likely)],
            ["tokens out, at most", left.most_tokens_out],
            *prices_left,
        ],
    )
