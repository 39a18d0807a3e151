"""What a generator is trained on: preference pairs, or topics with expansions, as prompts and passages."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.core.errors import ExpandrError
from expandr_repro.core.files import sha256_file
from expandr_repro.core.manifest import key_of
from expandr_repro.core.preferences import FINISHES, PreferencePair, read_pairs
from expandr_repro.core.prompts import Prompt, find_prompt, prepare
from expandr_repro.core.rendering import one_rendering, recorded_rendering, rendering_of
from expandr_repro.core.topics import Topic
from expandr_repro.models.generators.training.examples import Texts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """Texts, and what they are.

    Attributes:
        texts: "train", and perhaps "dev".
        facts: for the manifest and the key; names of files are not in it.
        names: for the manifest only.
        rendering: how the passages' prompts were rendered when they were generated; see `core.rendering`.
    """

    texts: dict[str, Texts]
    facts: dict[str, Any]
    names: dict[str, str] = field(default_factory=dict)
    rendering: Mapping[str, Any] = field(default_factory=dict)


def from_pairs(pairs: str, dev_pairs: str | None) -> TrainingData:
    """Read preference pairs, and those to validate on.

    Raises:
        FormatError: a file is not what it should be.
        MismatchError: their prompts were rendered in different ways.
        NotAvailableError: a file cannot be read.
    """
    files = {"train": pairs} | ({"dev": dev_pairs} if dev_pairs else {})
    read = {name: read_pairs(path) for name, path in files.items()}
    if dev_pairs:
        both = {p.qid for p in read["train"]} & {p.qid for p in read["dev"]}
        if both:
            log.warning("%d topics of %s are in %s, too; what is learnt by heart looks like success", len(both), dev_pairs, pairs)  # fmt: skip
    texts = {name: _texts(rows) for name, rows in read.items()}
    facts = {name: {"pairs": len(read[name]), "sha256": sha256_file(path)} for name, path in files.items()}
    rendering = one_rendering(
        ((p.qid, recorded_rendering(p.provenance)) for rows in read.values() for p in rows if p.provenance is not None),
        " and ".join(files.values()),
    )
    return TrainingData(texts, {"data": facts}, {name: Path(path).name for name, path in files.items()}, rendering)


def _texts(pairs: Sequence[PreferencePair]) -> Texts:
    finishes = [tuple((p.provenance or {}).get(key) == "length" for key in FINISHES) for p in pairs]
    return Texts([p.prompt for p in pairs], [(p.chosen, p.rejected) for p in pairs], finishes)


def from_topics(topics: str, expansions: str | None, prompt: str, dev: int, seed: int) -> TrainingData:
    """Read topics and their expansions; each expansion is an example.

    Args:
        topics: a name or path.
        expansions: a packaged set or a file; None for the topics' own.
        prompt: a name or file; filled in with the title.
        dev: topics, drawn by seed, that are kept for validation.
        seed: of the draw.

    Raises:
        ExpandrError: there are no expansions, or no topics left to train on, or the prompt needs more than the query.
        MismatchError: the expansions' prompts were rendered in different ways.
    """
    from expandr_repro.pipeline.collections import find_topics
    from expandr_repro.pipeline.expansions import with_expansions

    found = find_topics(topics)
    joined = with_expansions(found, expansions) if expansions else found.topics
    written = _prompt(prompt, found.collection.dataset if found.collection else None)
    usable = [t for t in joined if any(text.strip() for text in t.texts)]
    if len(usable) < len(joined):
        log.warning("%d of %d topics of %s have no expansion and are left out", len(joined) - len(usable), len(joined), found.label)  # fmt: skip
    if len(usable) <= dev:
        cure = "lower --dev" if usable else "give some with --expansions"
        raise ExpandrError(f"--sft {topics}: {len(usable)} topics have expansions, {dev} are for validation; {cure}")
    others = {str(p.get("prompt")) for t in usable if (p := t.provenance or {}).get("prompt_sha256", written.sha256) != written.sha256}  # fmt: skip
    if others:
        log.warning("the expansions were generated with prompt %s, and are learnt as the answer to %s: give --prompt if that is not meant", ", ".join(sorted(others)), written.name)  # fmt: skip
    kept = set(random.Random(seed).sample(range(len(usable)), dev))  # noqa: S311 - an experiment's draw, to be repeated
    parts = {"train": [t for i, t in enumerate(usable) if i not in kept], "dev": [usable[i] for i in sorted(kept)]}
    texts = {name: _examples(part, written) for name, part in parts.items() if part}
    facts = {
        "data": {n: {"topics": len(parts[n]), "examples": len(t.prompts), "sha256": _hash(t)} for n, t in texts.items()},
        "prompt": {"name": written.name, "version": written.version, "sha256": written.sha256},
    }  # fmt: skip
    names = {"topics": found.label} | ({"expansions": Path(expansions).name} if expansions else {})
    rendering = one_rendering(
        ((t.qid, rendering_of(e.sampling, t.provenance)) for t in usable for e in t.expansions if e.text.strip()),
        expansions or topics,
    )
    return TrainingData(texts, facts, names, rendering)


def _prompt(name: str, collection: str | None) -> Prompt:
    ident, spec = find_prompt(name, collection)
    prompt = prepare(ident, spec)
    if spec.examples or prompt.needs_passage:
        raise ExpandrError(f"--prompt {name}: needs more than the query; fine-tuning takes a prompt such as q2d")
    return prompt


def _examples(topics: Sequence[Topic], prompt: Prompt) -> Texts:
    rows = [(prompt.render(t.title), e) for t in topics for e in t.expansions if e.text.strip()]
    return Texts([p for p, _ in rows], [(e.text,) for _, e in rows], [(e.finish == "length",) for _, e in rows])


def _hash(texts: Texts) -> str:
    unfinished = [i for i, (cut,) in enumerate(texts.unfinished) if cut]
    return key_of(
        {"prompts": texts.prompts, "passages": texts.passages} | ({"unfinished": unfinished} if unfinished else {})
    )
