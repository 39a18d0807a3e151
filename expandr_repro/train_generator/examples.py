"""What a generator is trained on: preference pairs, or topics with expansions, as prompts and passages."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import TopicSet
from expandr_repro.data.overlap.sharing import count_shared, draw_apart, relevant_documents, same_title
from expandr_repro.data.overlap.trained_on import TrainedOn, carried_on
from expandr_repro.data.splits import split_of, with_split
from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError, NotAvailableError
from expandr_repro.io.files import sha256_file
from expandr_repro.io.manifest import key_of, read_manifest, run_manifest_path
from expandr_repro.llm.prompts import Prompt, find_prompt, prepare
from expandr_repro.llm.rendering import one_rendering, recorded_prompt, recorded_rendering, rendering_of
from expandr_repro.prefer.pairs import FINISHES, PreferencePair, read_pairs
from expandr_repro.train_generator.trl.examples import Texts
from expandr_repro.training.hold_out import (
    LeftOut,
    TrainingTopics,
    collection_of,
    collection_topics,
    corpus_hash,
    leave_out,
)

log = logging.getLogger(__name__)

PROMPT = "q2d"
"""The prompt where none is asked for, and the expansions do not say what they answer."""


@dataclass(frozen=True)
class TrainingData:
    """Texts, and what they are.

    Attributes:
        texts: "train", and perhaps "dev".
        facts: for the manifest and the key; names of files are not in it.
        names: for the manifest only.
        trained_on: the record of the topics and their relevant documents, and of what wrote the expansions.
        rendering: how the passages' prompts were rendered when they were generated; see `core.rendering`.
    """

    texts: dict[str, Texts]
    facts: dict[str, Any]
    names: dict[str, Any] = field(default_factory=dict)
    rendering: Mapping[str, Any] = field(default_factory=dict)
    trained_on: list[TrainedOn] = field(default_factory=list)


def from_pairs(pairs: str, dev_pairs: str | None, hold_out: Sequence[str] = ()) -> TrainingData:
    """Read preference pairs, and those to validate on.

    Args:
        pairs: the file.
        dev_pairs: the file to validate on, if any.
        hold_out: names of topics; pairs of topics that are among them, or share a relevant document with one, are left out.

    Raises:
        FormatError: a file is not what it should be.
        MismatchError: their prompts were rendered in different ways.
        NotAvailableError: a file cannot be read.
        ExpandrError: it is not known which topics the pairs are of, or none is left.
    """
    files = {"train": pairs} | ({"dev": dev_pairs} if dev_pairs else {})
    read = {name: read_pairs(path) for name, path in files.items()}
    record = carried_on(Path(pairs))
    facts: dict[str, Any] = {
        "data": {name: {"pairs": len(read[name]), "sha256": sha256_file(path)} for name, path in files.items()}
    }
    names: dict[str, Any] = {name: Path(path).name for name, path in files.items()}
    if hold_out:
        left_out, record = _held_out(pairs, read["train"], record, hold_out)
        read["train"] = [p for p in read["train"] if p.qid not in left_out.qids]
        facts |= left_out.facts
        names["hold_out"] = left_out.names
    if dev_pairs:
        both = {p.qid for p in read["train"]} & {p.qid for p in read["dev"]}
        if both:
            log.warning("%d topics of %s are in %s, too; what is learnt by heart looks like success", len(both), dev_pairs, pairs)  # fmt: skip
        facts["development_overlap"] = len(both)
    if not record:
        log.info("%s: has no record of its topics and documents beside it; the ids alone go into the record", pairs)
        record = [
            TrainedOn(
                Path(pairs).name,
                None,
                {p.qid: "" for p in read["train"]},
                frozenset(),
                tuple(names.get("hold_out", ())),
            )
        ]
    rendering = one_rendering(
        ((p.qid, recorded_rendering(p.provenance)) for rows in read.values() for p in rows if p.provenance is not None),
        " and ".join(files.values()),
    )
    return TrainingData({name: _texts(rows) for name, rows in read.items()}, facts, names, rendering, record)


def _held_out(
    name: str, pairs: Sequence[PreferencePair], record: list[TrainedOn], hold_out: Sequence[str]
) -> tuple[LeftOut, list[TrainedOn]]:
    """Find the pairs to be left out, and take their topics and documents out of the record."""
    prompts = {p.qid: same_title(p.prompt) for p in pairs}
    titles: dict[str, str] = {}
    listed = [item for part in record for item in part.topics.items()]
    for qid, title in (*listed, *((t.qid, t.title) for held in hold_out for t in collection_topics(held))):
        if title and same_title(title) in prompts.get(qid, ""):
            titles.setdefault(qid, title)
    if not titles:
        raise ExpandrError(
            f"--hold-out {' '.join(hold_out)}: it is not known which topics the pairs of {name} are of (no record lies beside the file, and no topic of "
            "that collection has their ids and prompts); give --hold-out to `prefer`, which writes the pairs"
        )
    if len(titles) < len(prompts):
        log.warning("--hold-out: of %d topics of %s nothing is known; they stay", len(prompts) - len(titles), name)
    left_out = leave_out(hold_out, TrainingTopics(Path(name).name, titles, None, Path(name).name, None))
    manifest = read_manifest(run_manifest_path(Path(name))) or {}
    if manifest.get("trained_candidates") is not False:  # the LLM that wrote them may have seen these topics, too
        return left_out, [replace(part, held_out=()) for part in record]
    gone = {d for qid in left_out.qids for d in left_out.relevant.get(qid, ())}
    gone -= {d for qid in titles.keys() - left_out.qids for d in left_out.relevant.get(qid, ())}
    return left_out, [
        replace(
            part,
            topics={q: t for q, t in part.topics.items() if q not in left_out.qids},
            docids=part.docids - gone,
            held_out=tuple(dict.fromkeys((*part.held_out, *left_out.names))),
        )
        for part in record
    ]


def _texts(pairs: Sequence[PreferencePair]) -> Texts:
    finishes = [tuple((p.provenance or {}).get(key) == "length" for key in FINISHES) for p in pairs]
    return Texts([p.prompt for p in pairs], [(p.chosen, p.rejected) for p in pairs], finishes)


def from_topics(
    topics: str,
    expansions: str | None,
    prompt: str,
    dev: int,
    seed: int,
    hold_out: Sequence[str] = (),
    allow_overlap: bool = False,
) -> TrainingData:
    """Read topics and their expansions; each expansion is an example.

    Args:
        topics: a name or path; of a collection without a split the train split.
        expansions: a packaged set or a file; None for the topics' own.
        prompt: a name or file; filled in with the title.
        dev: topics, drawn by seed, that are kept for validation; whole groups of topics that share relevant documents, where these are known.
        seed: of the draw.
        hold_out: names of topics; topics that are among them, or share a relevant document with one, are left out.
        allow_overlap: let topics kept for validation share relevant documents with the others.

    Raises:
        ExpandrError: there are no expansions, or no topics left to train on, or the prompt needs more than the query.
        MismatchError: the expansions' prompts were rendered in different ways.
    """
    from expandr_repro.data.collections import find_topics
    from expandr_repro.data.expansions import with_expansions

    topics = with_split(topics, "--sft")
    found = find_topics(topics)
    log.info("training topics: %s, %d topics", found.label, len(found.topics))
    joined = with_expansions(found, expansions) if expansions else found.topics
    usable = [t for t in joined if any(text.strip() for text in t.texts)]
    source = str(expansions or topics)
    written, recorded = plain_prompt(prompt, found.collection.dataset if found.collection else None), None
    if prompt == PROMPT and usable and all(e.prompt is not None for t in usable for e in t.expansions):
        recorded = _recorded_facts(usable)
        log.info("the prompts are those that the expansions answer (%s), as they were sent", recorded["name"])
    if len(usable) < len(joined):
        log.warning("%d of %d topics of %s have no expansion and are left out", len(joined) - len(usable), len(joined), found.label)  # fmt: skip
    training = training_topics(topics, found, usable)
    left_out = leave_out(hold_out, training) if usable else LeftOut()
    usable = [t for t in usable if t.qid not in left_out.qids]
    if len(usable) <= dev:
        fix = "lower --dev" if usable else "give some with --expansions"
        raise ExpandrError(f"--sft {topics}: {len(usable)} topics have expansions, {dev} are for validation; {fix}")
    others = set() if recorded else {str(p.get("prompt")) for t in usable if (p := t.provenance or {}).get("prompt_sha256", written.sha256) != written.sha256}  # fmt: skip
    if others:
        log.warning("the expansions were generated with prompt %s, and are learnt as the answer to %s: give --prompt if that is not meant", ", ".join(sorted(others)), written.name)  # fmt: skip
    if training.relevant is None:
        training = replace(training, relevant=left_out.relevant)
    kept = drawn_apart([t.qid for t in usable], dev, seed, {} if allow_overlap else training.in_common())
    parts = {"train": [t for t in usable if t.qid not in kept], "dev": [t for t in usable if t.qid in kept]}
    texts = {name: _examples(part, None if recorded else written, source) for name, part in parts.items() if part}
    facts = {
        "data": {n: {"topics": len(parts[n]), "examples": len(t.prompts), "sha256": _hash(t)} for n, t in texts.items()},
        "prompt": recorded or {"name": written.name, "version": written.version, "sha256": written.sha256},
        **left_out.facts,
    }  # fmt: skip
    if dev:
        qids = {name: [t.qid for t in part] for name, part in parts.items()}
        facts["development_overlap"] = count_shared(qids["dev"], qids["train"], training.in_common())
        if facts["development_overlap"]:
            log.warning("%d of %d topics for validation share a relevant document or a title with training", facts["development_overlap"], dev)  # fmt: skip
    names: dict[str, Any] = {"topics": found.label, "split": split_of(found)}
    names |= {"expansions": Path(expansions).name} if expansions else {}
    names |= {"hold_out": left_out.names} if hold_out else {}
    seen = training.only(t.qid for t in parts["train"])
    documents = frozenset(d for docids in (seen.relevant or {}).values() for d in docids)
    own = TrainedOn(seen.collection, seen.corpus, seen.titles, documents, tuple(left_out.names))
    file = Path(expansions or topics)
    record = [own, *(carried_on(file) if file.is_file() else [])]
    rendering = one_rendering(
        ((t.qid, rendering_of(e.sampling, t.provenance)) for t in usable for e in t.expansions if e.text.strip()),
        expansions or topics,
    )
    return TrainingData(texts, facts, names, rendering, record)


def training_topics(name: str, found: TopicSet, usable: Sequence[Topic]) -> TrainingTopics:
    """Return topics to be trained on, with their relevant documents where these are known."""
    from expandr_repro.data.collections import qrels_of, relevance_level

    try:
        qrels = qrels_of(found)
    except NotAvailableError:
        qrels = None
    relevant = relevant_documents(qrels, [t.qid for t in usable], relevance_level(name)) if qrels else None
    titles = {t.qid: t.title for t in usable}
    return TrainingTopics(found.label, titles, relevant, collection_of(found, name), corpus_hash(found.documents))


def drawn_apart(qids: Sequence[str], dev: int, seed: int, in_common: Mapping[str, set[str]]) -> set[str]:
    """Draw the topics kept for validation; where none share a document, those that were always drawn."""
    draw = random.Random(seed)  # noqa: S311 - an experiment's draw, to be repeated
    first = draw.sample(range(len(qids)), dev)
    rest = sorted(set(range(len(qids))) - set(first))
    draw.shuffle(rest)
    return draw_apart([qids[i] for i in (*first, *rest)], in_common, dev, "--dev")


def plain_prompt(name: str, collection: str | None) -> Prompt:
    """Return a prompt that needs the query alone.

    Raises:
        ExpandrError: it needs more.
    """
    ident, spec = find_prompt(name, collection)
    prompt = prepare(ident, spec)
    if spec.examples or prompt.needs_passage:
        raise ExpandrError(f"--prompt {name}: needs more than the query; training takes a prompt such as q2d")
    return prompt


def _recorded_facts(topics: Sequence[Topic]) -> dict[str, Any]:
    """Return what the manifest says of prompts that are written with the topics."""
    said = {json.dumps([(t.provenance or {}).get(key) for key in ("prompt", "prompt_version", "prompt_sha256")]) for t in topics}  # fmt: skip
    facts = [json.loads(one) for one in sorted(said)]
    names = dict.fromkeys(str(name) for name, _, _ in facts)
    if len(facts) == 1:
        return dict(zip(("name", "version", "sha256"), facts[0], strict=True))
    return {"name": ", ".join(names), "version": None, "sha256": key_of({"prompts": facts})}


def _examples(topics: Sequence[Topic], prompt: Prompt | None, source: str) -> Texts:
    """Return the examples of topics; without a prompt each text's own, as it was sent."""
    rows = [
        (prompt.render(t.title) if prompt else recorded_prompt(t, e, source) or "", e)
        for t in topics for e in t.expansions if e.text.strip()
    ]  # fmt: skip
    return Texts([p for p, _ in rows], [(e.text,) for _, e in rows], [(e.finish == "length",) for _, e in rows])


def _hash(texts: Texts) -> str:
    unfinished = [i for i, (cut,) in enumerate(texts.unfinished) if cut]
    return key_of(
        {"prompts": texts.prompts, "passages": texts.passages} | ({"unfinished": unfinished} if unfinished else {})
    )
