"""The bar over texts."""

from __future__ import annotations

from expandr_repro.console.progress import TextBar


class Recorder:
    """What a tqdm bar takes."""

    disable = False

    def __init__(self):
        self.postfix, self.steps = "", 0

    def set_postfix_str(self, text, refresh):
        self.postfix = text

    def update(self):
        self.steps += 1


def test_the_bar_counts_texts_topics_and_tokens():
    recorder = Recorder()
    bar = TextBar(recorder, samples=2)
    for qid, tokens in (("1", 700), ("2", 500), ("1", 300)):
        bar.text_done(qid, tokens)

    assert recorder.steps == 3
    assert recorder.postfix.startswith("1 topic, 1,500 tokens, ")
