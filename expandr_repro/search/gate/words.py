"""Words for gates: terms of a text, document frequencies, and the language that a text is in."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WORD = re.compile(r"[^\W_]+")

STOP_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to in is that it for was on are with as be at by this from or which have an has were not been their its can may these also such between than other how what does do who when where why will would but if more most into about",
        "de": "der die das und ist von zu den mit im dem des ein eine einer eines einem einen auf für nicht auch sich als es an werden wird oder sie wie bei durch aus nach sind zur zum kann über dass hat haben diese dieser wurde",
        "fr": "le la les des et est de un une du en que qui dans pour par sur au aux ce cette ces sont avec plus ne pas il elle ou se être peut ont a été comme leur entre son sa",
        "es": "el la los las de y es en que un una del por con para se su al lo como más pero sus este esta entre son ser está no puede han ha sobre también o muy",
        "it": "il lo la i gli le di e è che un una in per con non del della dei delle si da al alla sono come più anche nel nella questo questa essere può o su tra",
        "pt": "o a os as de e é em que um uma do da dos das por com para se no na nos nas como mais ao sua seu são ser pode não também ou entre foi",
        "nl": "de het een en van in is dat op te voor met zijn niet aan er om ook als door bij naar uit deze dit wordt worden kan of over heeft maar die",
    }.items()
}
"""Frequent words of languages in Latin script."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.lower())


def stem(word: str) -> str:
    """Return a word without an English plural's ending (Harman's S stemmer)."""
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word[:-1] if word.endswith("s") and not word.endswith(("us", "ss")) and len(word) > 3 else word


def terms_of(text: str) -> set[str]:
    """Return the different words of a text that are no stop words of English, without plural endings."""
    return {stem(word) for word in words_of(text) if word not in STOP_WORDS["en"] and len(word) > 1}


@dataclass(frozen=True)
class Frequencies:
    """In how many of the documents some terms occur.

    Attributes:
        documents: how many there are.
        counts: term -> documents with it; a term that is not there occurs in none.
    """

    documents: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def count(cls, texts: Iterable[str], terms: set[str]) -> Frequencies:
        """Count the documents that terms occur in."""
        counts: Counter[str] = Counter()
        documents = 0
        for text in texts:
            documents += 1
            counts.update(terms & terms_of(text))
        return cls(documents, dict(counts))

    def idf(self, term: str) -> float:
        """Return a term's inverse document frequency, from 0 (in all documents) to 1 (in one or none)."""
        if self.documents < 2:
            return 1.0
        return math.log(self.documents / max(self.counts.get(term, 0), 1)) / math.log(self.documents)


def script_of(text: str) -> str:
    """Return the script that most letters of a text are in, such as LATIN; empty where there are none."""
    scripts = Counter(unicodedata.name(c, "?").split()[0] for c in text if c.isalpha())
    return max(sorted(scripts), key=lambda s: scripts[s], default="")


def likeness(text: str, query: str, language: str) -> float:
    """Return how far a text is in a language, from 0 to 1: its letters in the query's script and, where that is Latin, its stop words.

    Of the stop words, those of the language are weighed against those of the language that has most of the others. A text without any is taken to be in it.
    """
    script = script_of(query) or "LATIN"
    letters = [unicodedata.name(c, "?").split()[0] for c in text if c.isalpha()]
    share = letters.count(script) / len(letters) if letters else 1.0
    if script != "LATIN":
        return share
    words = words_of(text)
    hits = {name: sum(word in some for word in words) for name, some in STOP_WORDS.items()}
    own, other = hits.pop(language), max(hits.values())
    return share * (own / (own + other) if own + other else 1.0)
