"""From a task and a store to the output, with a generator that is a function."""

from __future__ import annotations

import pytest

from expandr_repro.console.progress import text_progress
from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError
from expandr_repro.expand.fill import Expansions
from expandr_repro.expand.store import Store
from expandr_repro.expand.tasks import Failure, Task
from expandr_repro.llm.base import Identity, Reply
from expandr_repro.llm.prompts import prepare, prompts
from expandr_repro.llm.sampling import SamplingPlan, seed_of

TOPICS = [Topic(str(i), f"query {i}") for i in range(5)]
ME = Identity("function", "m")


class Function:
    """A generator made of a function from a request to a text, or to a failure where it raises KeyError."""

    identity = ME

    def __init__(self, say):
        self.say, self.asked = say, []

    def generate(self, requests, deliver):
        for request in requests:
            self.asked.append(request)
            try:
                deliver(Reply(request, self.say(request), "stop", 10, 20))
            except KeyError as error:
                deliver(Reply(request, failure=str(error.args[0])))


def run(tmp_path, say, plan=None, prompt="q2d", topics=TOPICS, **more):
    """Return (generator, assembly) of one run on the store of the test."""
    task = Task(topics, prepare(prompt, prompts()[prompt]), plan or SamplingPlan(), **more)
    generator = Function(say)
    with Store(tmp_path / "s") as store, text_progress(len(topics), 1) as bar:
        work = Expansions(task, ME, store)
        work.run(generator, topics, bar)
        return generator, work.assemble([work.report()])


def test_every_topic_gets_its_text_in_topic_order_with_its_seed_and_provenance(tmp_path):
    generator, made = run(tmp_path, lambda r: f"about {r.prompt.splitlines()[1]}")

    assert [(t.qid, t.texts) for t in made.topics] == [(str(i), (f"about Question: query {i}",)) for i in range(5)]
    assert made.topics[3].expansions[0].sampling == {
        "temperature": 1.0,
        "top_p": 0.9,
        "max_tokens": 512,
        "seed": seed_of(42, "3", 0),
    }
    assert made.topics[0].provenance == {
        "prompt": "q2d",
        "prompt_version": 1,
        "prompt_sha256": prepare("q2d", prompts()["q2d"]).sha256,
        "backend": "function",
        "model": "m",
        "cleaner": "2",
        "seed": 42,
    }
    assert {r.seed for r in generator.asked} == {seed_of(42, str(i), 0) for i in range(5)}
    assert (made.tally.requests, made.tally.tokens_in, made.tally.tokens_out) == (5, 50, 100)


def test_a_rerun_asks_for_nothing(tmp_path):
    first = run(tmp_path, lambda r: "a text")[1]
    generator, second = run(tmp_path, lambda r: "another text")

    assert generator.asked == []
    assert second.topics == first.topics


def test_only_what_is_missing_is_asked_for(tmp_path):
    run(tmp_path, lambda r: "a text", topics=TOPICS[:3])
    generator, made = run(tmp_path, lambda r: "a text")

    assert sorted(r.ident.topic.qid for r in generator.asked) == ["3", "4"]
    assert made.texts == 5


def test_more_samples_keep_those_there_are(tmp_path):
    run(tmp_path, lambda r: "a text")
    generator, made = run(tmp_path, lambda r: "another", SamplingPlan(samples=3))

    assert len(generator.asked) == 10
    assert made.topics[0].texts == ("a text", "another", "another")


@pytest.mark.parametrize("change", [{"seed": 1}, {"temperatures": (0.5,)}, {"max_tokens": 9}, {"extra": {"top_k": 5}}])
def test_another_setting_is_asked_for_anew(tmp_path, change):
    run(tmp_path, lambda r: "a text")

    assert len(run(tmp_path, lambda r: "x", SamplingPlan(**change))[0].asked) == 5


def test_another_passage_or_query_is_asked_for_anew(tmp_path):
    passages = {t.qid: "gold" for t in TOPICS}
    run(tmp_path, lambda r: "a text", prompt="q2a", passages=passages)
    changed = [Topic("0", "another query"), *TOPICS[1:]]

    generator, _ = run(tmp_path, lambda r: "x", prompt="q2a", topics=changed, passages=passages | {"1": "other"})
    assert sorted(r.ident.topic.qid for r in generator.asked) == ["0", "1"]


def test_an_empty_text_is_asked_again_with_other_seeds_until_there_is_one(tmp_path):
    def say(request):
        return "a text" if request.ident.attempt == 2 or request.ident.topic.qid != "3" else " <think>hm"

    generator, made = run(tmp_path, say)

    assert [r.seed for r in generator.asked if r.ident.topic.qid == "3"] == [seed_of(42, "3", 0, a) for a in (0, 1, 2)]
    assert made.topics[3].expansions[0].sampling["seed"] == seed_of(42, "3", 0, 2)
    assert (made.empty, made.failures) == (0, [])
    assert run(tmp_path, say)[0].asked == []


def test_a_text_that_stays_empty_is_reported_and_not_paid_for_again(tmp_path):
    generator, made = run(tmp_path, lambda r: "")

    assert len(generator.asked) == 15
    assert (made.empty, made.texts) == (5, 0)
    assert made.failures[0] == Failure("0", 0, "empty, 3 times", "empty")
    assert run(tmp_path, lambda r: "x")[0].asked == []


def test_a_refusal_is_left_out_and_listed(tmp_path):
    _, made = run(tmp_path, lambda r: "I'm sorry, but I can't help with that.")

    assert (made.refused, made.texts, made.topics[0].expansions) == (5, 0, ())
    assert made.failures[0].reason.startswith("refused: \"I'm sorry")


def test_a_refusal_is_kept_with_a_mark_where_that_is_asked_for(tmp_path):
    _, made = run(tmp_path, lambda r: "I'm sorry, but I can't help with that.", keep_refusals=True)

    assert (made.refused, made.texts, made.failures) == (5, 5, [])
    assert made.topics[0].expansions[0].sampling["refused"] is True


def test_what_failed_is_listed_with_its_reason_and_asked_again_by_a_rerun(tmp_path):
    def say(request):
        if request.ident.topic.qid == "2":
            raise KeyError("HTTP 400: too long")
        return "a text"

    _, made = run(tmp_path, say)
    assert made.failures == [Failure("2", 0, "HTTP 400: too long")]
    assert [len(t.expansions) for t in made.topics] == [1, 1, 0, 1, 1]

    generator, again = run(tmp_path, lambda r: "a text")
    assert len(generator.asked) == 1
    assert again.failures == []


def test_a_raw_text_stays_in_the_store_and_the_output_is_clean(tmp_path):
    raw = "Sure! Here is a passage:\n\nRain falls."
    _, made = run(tmp_path, lambda r: raw)

    assert made.topics[0].texts == ("Rain falls.",)
    with Store(tmp_path / "s") as store:
        assert {row[0] for row in store.database.raw.execute("SELECT text FROM generations")} == {raw}


def test_texts_cut_at_the_limit_are_counted(tmp_path):
    class Cut(Function):
        def generate(self, requests, deliver):
            for request in requests:
                deliver(Reply(request, "a text", "length", 1, 512))

    task = Task(TOPICS, prepare("q2d", prompts()["q2d"]), SamplingPlan())
    with Store(tmp_path / "s") as store, text_progress(5, 1) as bar:
        work = Expansions(task, ME, store)
        work.run(Cut(None), TOPICS, bar)
        assert work.assemble().truncated == 5


def test_a_dry_run_counts_requests_and_estimates_tokens(tmp_path):
    run(tmp_path, lambda r: "a text", topics=TOPICS[:3])
    task = Task(TOPICS, prepare("q2d", prompts()["q2d"]), SamplingPlan(max_tokens=512))
    with Store(tmp_path / "s") as store:
        left = Expansions(task, ME, store).remaining()

    assert (left.requests, left.topics, left.most_tokens_out, left.likely_tokens_out) == (2, 2, 1024, 40.0)
    assert left.prompt_characters == 2 * len(task.prompt.render("query 3"))


def test_a_topic_without_a_query_is_refused_before_anything_is_asked():
    with pytest.raises(ExpandrError, match="topic '7' has an empty query"):
        Task([Topic("7", " ")], prepare("q2d", prompts()["q2d"]), SamplingPlan())
