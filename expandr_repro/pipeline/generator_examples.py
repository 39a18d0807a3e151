"""What a generator is trained on: preference pairs, or topics with expansions, as prompts and passages."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.core.errors import ExpandrError
from expandr_repro.core.files import sha256_file
from expandr_repro.core.manifest import key_of
from expandr_repro.core.preferences import PreferencePair, read_pairs
from expandr_repro.core.prompts import Prompt, find_prompt, prepare
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
    """

    texts: dict[str, Texts]
    facts: dict[str, Any]
    names: dict[str, str] = field(default_factory=dict)


def from_pairs(pairs: str, dev_pairs: str | None) -> TrainingData:
    """Read preference pairs, and those to validate on.

    Raises:
        FormatError: a file is not what it should be.
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
    return TrainingData(texts, {"data": facts}, {name: Path(path).name for name, path in files.items()})


def _texts(pairs: Sequence[PreferencePair]) -> Texts:
    return Texts([p.prompt for p in pairs], [(p.chosen, p.rejected) for p in pairs])


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
    kept = set(random.Random(seed).sample(range(len(usable)), dev))  # noqa: S311 - an experiment's draw, to be repeated
    parts = {"train": [t for i, t in enumerate(usable) if i not in kept], "dev": [usable[i] for i in sorted(kept)]}
    texts = {name: _examples(part, written) for name, part in parts.items() if part}
    facts = {
        "data": {n: {"topics": len(parts[n]), "examples": len(t.prompts), "sha256": _hash(t)} for n, t in texts.items()},
        "prompt": {"name": written.name, "version": written.version, "sha256": written.sha256},
    }  # fmt: skip
    names = {"topics": found.label} | ({"expansions": Path(expansions).name} if expansions else {})
    return TrainingData(texts, facts, names)


def _prompt(name: str, collection: str | None) -> Prompt:
    ident, spec = find_prompt(name, collection)
    prompt = prepare(ident, spec)
    if spec.examples or prompt.needs_passage:
        raise ExpandrError(f"--prompt {name}: needs more than the query; fine-tuning takes a prompt such as q2d")
    return prompt


def _examples(topics: Sequence[Topic], prompt: Prompt) -> Texts:
    rows = [(prompt.render(t.title), text) for t in topics for text in t.texts if text.strip()]
    return Texts([p for p, _ in rows], [(text,) for _, text in rows])


def _hash(texts: Texts) -> str:
    return key_of({"prompts": texts.prompts, "passages": texts.passages})
