"""What the cleaner takes off in several languages, and the content it must leave alone."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.llm.answers.cleaning import CLEANER, clean

P = "Vitamin D is made in the skin under sunlight. It helps the gut take up calcium."
ZH = "维生素D在皮肤中经阳光照射合成。它帮助肠道吸收钙。"

TAKEN_OFF = [
    ("**Passage**\n\n{}", P),
    ("**Passage:**\n{}", P),
    ("**Passage:** {}", P),
    ("**Passage**: {}", P),
    ("# Passage\n\n{}", P),
    ("## Passage:\n{}", P),
    ("### **Passage**\n\n{}", P),
    ("*Passage*\n\n{}", P),
    ("[Passage]\n{}", P),
    ("Passage\n\n{}", P),
    ("Passage: {}", P),
    ("Answer:\n\n{}", P),
    ("Final Answer: {}", P),
    ("Hypothetical passage: {}", P),
    ('{{"passage": "{}"}}', P),
    ('```json\n{{"passage": "{}"}}\n```', P),
    ('Here is the passage:\n\n```json\n{{\n  "text": "{}"\n}}\n```', P),
    ('{{"question": "what is vitamin d", "passage": "{}"}}', P),
    ('[{{"passage": "{}"}}]', P),
    ('{{"result": {{"passage": "{}"}}}}', P),
    ('{{"passage": "{}', P),
    ("<passage>{}</passage>", P),
    ("<passage>\n{}\n</passage>", P),
    ("Sure!\n\n<passage>\n{}\n</passage>\n\nLet me know if you need more.", P),
    ("<answer>{}</answer>", P),
    ("<passage>\n{}", P),
    ("> {}", P),
    ("Here is a passage:\n\n> {}\n\nI hope this helps!", P),
    ("```\n{}\n```", P),
    ("~~~markdown\n{}\n~~~", P),
    ('"{}"', P),
    ("“{}”", P),
    ("«{}»", P),
    ("「{}」", ZH),
    ("Please write a passage to answer the question.\nQuestion: what is vitamin d\nPassage: {}", P),
    ("Question: what is vitamin d\nPassage: {}\n\nQuestion: what is vitamin k\nPassage: Vitamin K is", P),
    ("{}\n\nPlease write a passage to answer the question.\nQuestion: what is vitamin k\nPassage: Vitamin K", P),
    ("{}\n\nQuery: what is vitamin k\nPassage:", P),
    ("{}\n\n**Question:** What is vitamin K?\n**Passage:** Vitamin K is", P),
    ("{}\n\nClaim: vitamin K cures colds\nPassage: It does not.", P),
    ("{}\n\nQuestion: what is vitamin", P),
    ("{{'passage': '{}'}}", P),
    ('"""\n{}\n"""', P),
    ("The passage:\n\n{}", P),
    ("Generated Passage:\n{}", P),
    ('\n\nPassage:\n\n"{}"', P),
    ("**Passage:**\n\n> {}", P),
    # preambles
    ("Based on the question, here is a relevant passage:\n\n{}", P),
    ("Absolutely! Here's a well-researched passage:\n\n---\n\n{}\n\n---\n\nLet me know if you'd like any changes!", P),
    ("Sure! Here is a passage that answers the question:\n\n{}", P),
    ("好的，以下是一段回答该问题的短文：\n\n{}", ZH),
    ("以下是回答该问题的段落：\n{}", ZH),
    ("当然！这是一段关于维生素D的文字：{}", ZH),
    ("当然可以！下面是为您撰写的文章：\n\n{}", ZH),
    ("好的！\n\n{}", ZH),
    ("段落：{}", ZH),
    ("**回答：**\n{}", ZH),
    ("Bien sûr ! Voici un passage qui répond à la question :\n\n{}", P),
    ("Voici un paragraphe sur la vitamine D :\n\n{}", P),
    ("D'accord, voici le texte demandé : {}", P),
    ("Réponse : {}", P),
    ("Gerne! Hier ist ein Absatz, der die Frage beantwortet:\n\n{}", P),
    ("Natürlich! Hier ist eine Passage zu Ihrer Frage:\n\n{}", P),
    ("Hier ist ein kurzer Text, der die Frage beantwortet:\n{}", P),
    ("Nachfolgend finden Sie den Abschnitt:\n\n{}", P),
    ("Antwort: {}", P),
    ("¡Claro! Aquí tienes un pasaje que responde a la pregunta:\n\n{}", P),
    ("Por supuesto. Aquí está el párrafo:\n\n{}", P),
    ("A continuación, se presenta un texto que responde a la pregunta:\n\n{}", P),
    ("Respuesta: {}", P),
    ("Certo! Ecco un brano che risponde alla domanda:\n\n{}", P),
    ("Claro! Aqui está um parágrafo que responde à pergunta:\n\n{}", P),
    # closings
    ("{}\n\nI hope you find this helpful.", P),
    ("{}\n\nI'm happy to help with anything else!", P),
    ("{}\n\nThank you for your question!", P),
    ("{}\n\nFeel free to reach out if you have more questions.", P),
    ("{}\n\nHope that helps :)", P),
    ("{}\n\n*Note: This passage is for informational purposes only.*", P),
    ("{}\n\n(Word count: 120)", P),
    ("{}\n\n请告诉我是否需要修改。", ZH),
    ("{}\n\nN'hésitez pas si vous avez d'autres questions !", P),
    ("{}\n\nPuis-je vous aider pour autre chose ?", P),
    ("{}\n\nHaben Sie weitere Fragen?", P),
    ("{}\n\n¡Espero que te ayude!", P),
    ("{}\n\n¿Necesitas algo más?", P),
    ("{}\n\nI hope this helps! Let me know if you have any other questions.", P),
    ("{} Let me know if you need more.", P),
    ("{}\n\nHope this helps!", P),
    ("{}\n\nI hope this passage meets your needs. Feel free to ask for changes.", P),
    ("{}\n\n希望这对您有帮助！", ZH),
    ("{}希望以上内容对您有所帮助。如果您还有其他问题，请随时告诉我。", ZH),
    ("{}\n\n如有任何疑问，请随时联系我。", ZH),
    ("{}\n\n需要我进一步说明吗？", ZH),
    ("{}\n\nJ'espère que cela vous aide !", P),
    ("{}\n\nN'hésitez pas à me demander plus de détails.", P),
    ("{} Souhaitez-vous que je développe un point ?", P),
    ("{}\n\nSi vous avez d'autres questions, n'hésitez pas à les poser.", P),
    ("{}\n\nIch hoffe, das hilft Ihnen weiter!", P),
    ("{}\n\nLassen Sie mich wissen, wenn Sie mehr brauchen.", P),
    ("{}\n\nWenn Sie weitere Fragen haben, stehe ich Ihnen gerne zur Verfügung.", P),
    ("{} Soll ich den Text kürzen?", P),
    ("{}\n\nEspero que esto te ayude.", P),
    ("{}\n\nNo dudes en preguntar si necesitas más información.", P),
    ("{}\n\nSi necesitas algo más, házmelo saber.", P),
    ("{} ¿Te gustaría que añadiera ejemplos?", P),
]

KEPT = [
    "In Python, 2**10 is 1024 and 2**20 is over a million.",
    "The product a * b is commutative, and a ** b is not.",
    "The method __init__ is called by __new__, and __call__ by parentheses.",
    "Call f(**kwargs) or g(*args, **options) to pass them on, as in dict(**a, **b).",
    "r = 0.3** and r = 0.5** are significant (** p < 0.01, *** p < 0.001).",
    "x**2 + y**2 = z**2 holds for 3, 4 and 5.",
    "The complement is A* B*, and $a_1 * b_1$ is a product; E = mc^2.",
    "To compute it:\n\n```python\n# the square\nx = 2**10\n- y\n1. z\n```\n\nThe result is 1024.",
    "Run `git log -- **/*.py` or `**kwargs` in the shell.",
    "See a doctor where the pain lasts. Do not hesitate to seek emergency care if you have chest pain.",
    "Chest pain can be a heart attack. Do not hesitate to call your doctor or an ambulance.",
    "Statins have side effects. Feel free to ask your doctor or pharmacist about them.",
    "Please contact your health care provider if you have questions about the vaccine.",
    "The letter ended: I hope this finds you well.",
    "Soldiers wrote home often. I hope this war ends soon, one of them said.",
    "Would you like to lose weight? Vitamin D will not do it.",
    "If you have any questions about tax, ask the office; if you have income abroad, declare it.",
    "N'hésitez pas à consulter un médecin si la douleur persiste.",
    "La douleur persiste parfois. N'hésitez pas à appeler les urgences.",
    "Der Schmerz kann bleiben. Zögern Sie nicht, den Notruf zu wählen.",
    "El dolor puede durar. No dudes en acudir al médico o en llamar a urgencias.",
    "如果您出现胸痛，请立即就医。",
    "Q: What is vitamin D?\nA: A vitamin.\n\nQ: Where does it come from?\nA: From the skin.\n\nQ: Who needs more?\nA: Infants.",
    "Question: What is vitamin D?\nAnswer: A vitamin.\n\nQuestion: Where does it come from?\nAnswer: From the skin.\n\nQuestion: Who needs more?\nAnswer: Infants.",
    "Frequently asked questions on vitamin D\n\nQuestion: What is it?\nAnswer: A vitamin.\n\nQuestion: Who needs more?\nAnswer: Infants.",
    "Vitamin D FAQ\n\nQuestion: What is it?\nAnswer: A vitamin.\n\nQuestion: Who needs more",
    "问题：什么是维生素D？\n答案：一种维生素。\n\n问题：谁需要更多？\n答案：婴儿。",
    "Doses of 1.5 mg, 2,000 IU and 10^6 units were tested; 3.14 is pi and 1/2 a half.",
    "1998. A year of little sun. Vitamin D fell.",
    "20. August 1914 was a Thursday.\n21. August 1914 was a Friday.",
    "> 50 % of adults have low levels in winter.",
    "x > 3 and y < 4; <b>bold</b> and <i>italic</i> are HTML.",
    'The object {"a": 1, "b": "two"} is JSON, and [1, 2] a list.',
    '{"name": "vitamin D", "dose": "600 IU"}',
    "| dose | level |\n|---|---|\n| 10 | 50 |",
    "Passage of the bill took three years: the senate voted in May.",
    "The answer: it depends. Vitamin D is made in the skin.",
    "Voici la vitamine D : elle vient du soleil.",
    "Hier ist die Sonne stark: die Haut bildet Vitamin D.",
    "以下三种食物富含维生素D：鱼、蛋黄和牛奶。",
    "Text messages: how teenagers write.",
    "He answered the question. Question time in parliament is on Wednesday.",
    "The user opens the file.\nThe assistant closes it.",
    '"Rickets" is an old word; doctors now say "vitamin D deficiency"',
    "Sure of himself, he left. Certainly it rained.",
    "Note: the boiling point depends on pressure.",
    "Let me know what love is, the poet asks.",
    "Visit the museum on Sunday. Feel free to contact the visitor center for group tours.",
    "The app has a chat. Please do not hesitate to contact us at info@example.org.",
    "Keep calm. Do not hesitate to ask for help when you are overwhelmed.",
    "Symptoms vary. If you have any questions, ask your doctor.",
    "Certainly! was the cry of the crowd in 1789.",
    "if __name__ == '__main__':\n    main()",
    "C = A ** -1 and B = 2**-3, and int **p; int **q; are declarations.",
    "SELECT * FROM t WHERE a = '*';",
    "> be me\nGreentext begins with an angle bracket.",
    "Claim: the earth is flat. Evidence: none.",
    "10. Downing Street is the office.\n11. Downing Street is next door.",
    "Steps: mix flour, water and salt. Feel free to use fresh herbs.",
]

INSIDE = [
    (
        "# Vitamin D\n\n## Sources\n\nFish and eggs.\n\n## Needs\n\n600 IU.",
        "Vitamin D\n\nSources\n\nFish and eggs.\n\nNeeds\n\n600 IU.",
    ),
    ("Sources:\n- fish\n- eggs\n* milk", "Sources:\nfish\neggs\nmilk"),
    ("Steps:\n1. Mix.\n2. Bake.\n3. Eat.", "Steps:\nMix.\nBake.\nEat."),
    ("**Vitamin D** raises **calcium** (2**10 units).", "Vitamin D raises calcium (2**10 units)."),
    ("维生素**D**在皮肤中合成。", "维生素D在皮肤中合成。"),
    ("***Vitamin D*** is made in the skin.", "Vitamin D is made in the skin."),
]


@pytest.mark.parametrize(("form", "text"), TAKEN_OFF)
def test_what_is_not_of_the_text_is_taken_off(form, text):
    assert clean(form.format(text)).text == text


@pytest.mark.parametrize("text", KEPT)
def test_content_is_never_harmed(text):
    assert clean(text).text == text
    assert not clean(text).refused


@pytest.mark.parametrize(("raw", "wanted"), INSIDE)
def test_marks_of_headings_and_lists_go_and_their_words_stay(raw, wanted):
    assert clean(raw).text == wanted


def test_the_prompt_is_taken_off_where_the_text_repeats_it():
    prompt = "Explain this to a child, in two sentences, please.\nThing: vitamin d\nWords:"

    assert clean(f"{prompt} {P}", prompt=prompt).text == P
    assert clean(f"Thing: vitamin d\nWords:\n{P}", prompt=prompt).text == P
    assert clean(P, prompt=prompt).text == P
    assert clean(f"Thing: vitamin d\n{P}", prompt="Thing: vitamin d\nWords:").text == f"Thing: vitamin d\n{P}"


@given(st.lists(st.sampled_from([*(form for form, _ in TAKEN_OFF), *KEPT, "\n\n", " "]), max_size=4))
def test_cleaning_what_is_clean_changes_nothing(parts):
    once = clean("".join(part.replace("{}", P) for part in parts)).text

    assert clean(once).text == once


def test_the_rules_have_a_version():
    assert CLEANER == "2"


def test_packaged_texts_are_clean_already(root):
    files = sorted((root / "expandr_repro" / "resources" / "expansions").glob("*/*.jsonl.gz"))
    assert files
    for file in files:
        quotations = file.parent.name.endswith(".csqe")  # out of a clean answer, some in quotation marks of their own
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            for expansion in json.loads(line)["expansions"]:
                text, cleaned = expansion["text"], clean(expansion["text"])
                assert cleaned.text == text or (quotations and cleaned.text == text[1:-1])
                assert not cleaned.refused


def test_real_texts_of_other_models_are_cleaned_once_and_for_all(data):
    for file in sorted((data / "expansions").glob("*.jsonl")):
        for line in file.open(encoding="utf-8"):
            record = json.loads(line)
            for text in [e["text"] for e in record.get("expansions", [])] or [record["title"]]:
                once = clean(text)
                assert clean(once.text).text == once.text
                assert not once.refused
                assert len(once.text) > 0.8 * len(text)
