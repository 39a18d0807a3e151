"""Plant harmful texts in place of expansions, so that a gate learns to refuse them too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from expandr_repro.data.topics import Expansion, Topic

FOREIGN = (
    "Os resultados mostram que o tratamento precoce é bom para a maioria dos doentes, mas não se sabe ainda por que razão alguns não melhoram com ele.",
    "De resultaten van het onderzoek laten zien dat het probleem vaker voorkomt dan men dacht, en dat er nog veel werk moet worden gedaan voor een goede oplossing.",
    "Wyniki badania pokazują, że metoda jest skuteczna w większości przypadków, chociaż jej koszty są wysokie i nie zawsze można ją zastosować.",
    "Resultaten visar att metoden fungerar väl i de flesta fall, men att den kräver mer tid och att orsakerna till felen inte är kända.",
    "この方法は多くの場合に有効であるが、その理由はまだ十分に分かっていない。",
    "Τα αποτελέσματα δείχνουν ότι η μέθοδος είναι αποτελεσματική, αλλά οι αιτίες δεν είναι ακόμη γνωστές.",
    "Die Methode ist in den meisten Fällen schneller als die älteren, aber sie braucht mehr Speicher und ist nicht für alle Aufgaben geeignet.",
    "Le système permet de traiter les demandes plus vite, mais il faut encore vérifier que les réponses sont exactes.",
)
TALK = (
    "I am not sure what exactly you mean, but here is an overview. The topic has many aspects, and each of them could be discussed at length.",
    "Great question! Let me explain. There are several reasons why people ask about this, and it is worth looking at each of them in turn.",
    "In conclusion, it is clear that this matter is complex. More information can be found in the literature and on many websites.",
    "As an AI language model, I cannot give a definite answer, but I can share some general thoughts that may be useful to you.",
    "Sure! Here is a passage that answers the question. It covers the most important points and gives some background for readers who are new to it.",
    "The following text describes the subject in detail. It starts with the basics and then moves on to what is known today.",
)


def planted(topics: Sequence[Topic]) -> dict[str, list[Topic]]:
    """Return the topics with texts that do not belong to them: another topic's expansions, texts in other languages, empty talk."""
    shift = max(1, len(topics) // 3)
    others = [topics[(row + shift) % len(topics)] for row in range(len(topics))]
    return {
        "another topic's": [replace(t, expansions=other.expansions) for t, other in zip(topics, others, strict=True)],
        "another language": [replace(t, expansions=(Expansion(FOREIGN[n % len(FOREIGN)]),)) for n, t in enumerate(topics)],
        "empty talk": [replace(t, expansions=(Expansion(TALK[n % len(TALK)]),)) for n, t in enumerate(topics)],
    }  # fmt: skip
