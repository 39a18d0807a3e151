"""What is fuzzed: a reader each. Only an `ExpandrError` may come out, and what is accepted must survive being written and read again."""

from __future__ import annotations

import functools
import gzip
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from expandr_repro.data import run_blocks, trec
from expandr_repro.data.corpus import corpus_at, survey
from expandr_repro.data.joining import join_expansions, read_expansions
from expandr_repro.data.passages import read_passages
from expandr_repro.data.specs import DatasetSpec, EncoderSpec, encoder_spec
from expandr_repro.data.topics import read_topics, write_topics
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.io.columns import QRELS, header_of
from expandr_repro.io.files import atomic_text, is_surrogate_free, read_lines
from expandr_repro.io.manifest import read_manifest, write_manifest
from expandr_repro.io.paths import resource
from expandr_repro.io.strict_yaml import build, read_yaml
from expandr_repro.llm.answers.cleaning import clean
from expandr_repro.llm.prompts import find_prompt, prepare
from expandr_repro.prefer.pairs import read_pairs, write_pairs
from expandr_repro.regress.conditions.reading import load
from expandr_repro.regress.conditions.writing import render
from expandr_repro.train_encoder.settings import EncoderTraining
from expandr_repro.train_generator.settings import DpoSettings, GrpoSettings
from expandr_repro.training.metrics_log import MetricsLog, read_metrics
from expandr_repro.training.settings import read_config
from tests.faults.fuzz import oracle

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Target:
    """A reader, what good files for it look like, and words that it knows."""

    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[str, ...] = ()


TARGETS: dict[str, Target] = {}


def target(name: str, *seeds: bytes | str, words: tuple[str, ...] = ()) -> Callable[..., Callable[[bytes], None]]:
    """Put a function into the table; what this package refuses on purpose is no fault."""

    def add(function: Callable[[bytes], None]) -> Callable[[bytes], None]:
        @functools.wraps(function)
        def read(data: bytes) -> None:
            try:
                function(data)
            except ExpandrError as error:
                assert "\n" not in str(error).strip(), f"not one line: {error}"
                assert len(str(error)) < 3000, "nobody reads an error of that length"

        TARGETS[name] = Target(read, tuple(s.encode() if isinstance(s, str) else s for s in seeds), words)
        return read

    return add


@functools.cache
def scratch() -> Path:
    """A folder for this process."""
    made = tempfile.TemporaryDirectory(prefix="fuzz-")
    _KEPT.append(made)  # removed when the process ends
    return Path(made.name)


_KEPT: list[Any] = []


def file_of(data: bytes, name: str) -> Path:
    path = scratch() / name
    path.write_bytes(data)
    return path


def same(value: Any) -> Any:
    """Return a value in a form that tells 1, 1.0 and True apart."""
    if is_dataclass(value) and not isinstance(value, type):
        return [same(getattr(value, f.name)) for f in fields(value)]
    if isinstance(value, dict):
        return [(same(k), same(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [same(v) for v in value]
    return (type(value).__name__, repr(value))


JSON_WORDS = (
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "NaN",
    "Infinity",
    "1e999",
    "-1",
    "[]",
    "{}",
    '":',
    '","',
    "9" * 40,
    "\ufeff",
    "\u00a0",
    "\x85",
)
YAML_WORDS = ("&a ", "*a", "<<: ", "!!int ", "!!float ", "!!timestamp ", "!!binary ", "!!set ", "? ", "- ", ": ", "0x", ".nan", ".inf", "2020-01-01", "1:59", "|\n ", "\\ud800", "\\0",
              "%YAML 1.1\n---\n", "...", '"', "null", "true", "[", "]", "{", "}", "\ufeff")  # fmt: skip
TREC_WORDS = (
    "Q0",
    "nan",
    "inf",
    "1e39",
    "-3.4028235e38",
    "1_0",
    "1e-50",
    "\u00a0",
    "\x1c",
    "\x85",
    "\ufeff",
    "\r",
    "\t",
    "query-id",
    "qid",
    "0x1",
    "+1",
    "\u0663",
)
TOPIC_WORDS = (
    *JSON_WORDS,
    '"qid"',
    '"title"',
    '"text"',
    '"_id"',
    '"id"',
    '"query"',
    '"expansions"',
    '"sampling"',
    '"provenance"',
    '"title_sha256"',
)

TOPIC = '{"qid": "1", "title": "a b", "expansions": [{"text": "c", "sampling": {"temperature": 1.0, "seed": 7}}, "d"], "provenance": {"model": "m", "n": null}}\n'


def _topics(name: str, data: bytes) -> None:
    topics = read_topics(file_of(data, name))
    again = scratch() / "again.jsonl"
    write_topics(again, topics)
    assert same(read_topics(again)) == same(topics)


@target("topics", TOPIC, '{"_id": 5, "text": "x"}\n\n{"query_id": "é", "query": "y"}\n', words=TOPIC_WORDS)
def topics_jsonl(data: bytes) -> None:
    _topics("t.jsonl", data)


@target(
    "topics json",
    '{"1": {"title": "a"}, "2": "b"}',
    '[{"qid": "1", "title": "a"}]',
    TOPIC,
    TOPIC + TOPIC.replace("1", "2", 1),
    words=TOPIC_WORDS,
)
def topics_json(data: bytes) -> None:
    _topics("t.json", data)


@target("topics tsv", "1\ta b\n2\tc\td\r\n", words=("\t", "\n", "\ufeff", "\u00a0", "{", "\x85"))
def topics_tsv(data: bytes) -> None:
    _topics("t.tsv", data)


@target(
    "expansions", TOPIC, '{"qid": "1", "title_sha256": "d8a5cf24f0bdf8de", "expansions": ["x"]}\n', words=TOPIC_WORDS
)
def expansions(data: bytes) -> None:
    found = read_expansions(file_of(data, "e.jsonl"))
    topics = [topic for topic, _ in found.values() if topic.title.strip()]
    known = {qid: found[qid] for qid in (t.qid for t in topics)}
    joined = join_expansions(topics, known, "e.jsonl")
    if joined:
        again = scratch() / "again.jsonl"
        write_topics(again, joined)
        assert same(read_topics(again)) == same(joined)


@target("gold passages", '{"qid": "1", "text": "a b"}\n', words=TOPIC_WORDS)
def gold(data: bytes) -> None:
    found = read_passages(file_of(data, "g.jsonl"))
    again = file_of("".join(json.dumps({"qid": q, "text": t}) + "\n" for q, t in found.items()).encode(), "h.jsonl")
    assert read_passages(again) == found


@target(
    "runs", "q1 Q0 d1 1 2.5 t\nq1 Q0 d2 2 1e-3 t\nq2 Q0 d1 1 -1 t\n", "q1\tQ0\td\u00e9 1  .5 t\r\n\n", words=TREC_WORDS
)
def runs(data: bytes) -> None:
    run = trec.read_run(file_of(data, "r.trec"))
    assert same(run) == same(oracle.run(data)), "trec_eval reads something else"
    first, second = scratch() / "first.trec", scratch() / "second.trec"
    trec.write_run(first, run)
    read = trec.read_run(first)
    wanted = {qid: trec.strictly_decreasing(ranked) for qid, ranked in run.items()}
    assert {qid: list(ranked) for qid, ranked in read.items()} == {qid: list(ranked) for qid, ranked in wanted.items()}
    trec.write_run(second, read)
    assert first.read_bytes() == second.read_bytes()
    trec.trec_order(run)


@target("runs in blocks", "q1 Q0 d1 1 2.5 t\nq1 Q0 d2 2 1e-3 t\nq2 Q0 d1 1 -1 t\n", words=TREC_WORDS)
def blocks(data: bytes) -> None:
    path = file_of(data, "b.trec")
    usual = run_blocks.BLOCK
    for size in (usual, 16):  # the second ends within each line
        run_blocks.BLOCK = size
        try:
            plain = run_blocks.read_plain_run(path)
            parts = _parts(path)
        finally:
            run_blocks.BLOCK = usual
        if plain is not None:
            assert same(plain) == same(trec.read_run_by_lines(path))
        if parts is not None:
            assert parts == plain, "topic by topic it is another run"


def _parts(path: Path) -> trec.Run | None:
    """Return a run that was read some topics at a time, or None where it asks for a closer look."""
    found: trec.Run = {}
    try:
        for part in run_blocks.plain_parts(path):
            assert found.keys().isdisjoint(part), "a topic came twice"
            found.update({qid: dict(ranked) for qid, ranked in part.items()})
    except run_blocks.NotPlainError:
        return None
    return found


@target("qrels", "1 0 d1 1\n1 0 d2 -1\n2 0 d1 0\n", "query-id\tcorpus-id\tscore\n1\td1\t2\n", words=TREC_WORDS)
def qrels(data: bytes) -> None:
    read = trec.read_qrels(file_of(data, "q.txt"))
    lines = data.split(b"\n", 1)
    first = lines[0].decode().removeprefix("\ufeff").split()
    beir = bool(first) and not first[-1].isdigit() and header_of("q.txt", 1, first, QRELS, ("query",)) is not None
    assert same(read) == same(oracle.qrels(lines[1] if beir else data)), "trec_eval reads something else"
    again = scratch() / "again.txt"
    trec.write_qrels(again, read)
    assert same(trec.read_qrels(again)) == same(read)


def _corpus(name: str, data: bytes) -> None:
    corpus = corpus_at(file_of(data, name))
    facts = survey(corpus)
    documents = list(corpus.read())
    lines = [
        json.dumps({"_id": d.docid, "title": d.title, "text": d.text}, ensure_ascii=False) + "\n" for d in documents
    ]
    again = corpus_at(file_of("".join(lines).encode(), "again.jsonl"))
    assert (list(again.read()), survey(again)) == (documents, facts)
    assert all(is_surrogate_free(d.dense_text + d.lucene_text) for d in documents)


@target(
    "corpora",
    '{"_id": "d1", "title": "a", "text": "b", "metadata": {"x": 1}}\n{"id": 2, "contents": "c"}\n',
    words=(*JSON_WORDS, '"docid"', '"contents"', '"text"', '"title"', '"_id"'),
)
def corpora(data: bytes) -> None:
    _corpus("c.jsonl", data)


@target("corpora tsv", "d1\ta b\nd2\tc\td\n", words=("\t", "\n", "\ufeff", "\u00a0", "\x85"))
def corpora_tsv(data: bytes) -> None:
    _corpus("c.tsv", data)


@target(
    "lines", b"\x00one\ntwo\r\n\n", b"\x01one\n\xef\xbb\xbftwo", b"\x02ab\ncd\n", b"\x03x", b"\x04x\n", b"\x05long\n"
)
def lines(data: bytes) -> None:
    """The first byte says how the rest is packed: not, once, in two members, with zeros after it, with rubbish after it, cut short, or as it is."""
    how, text = data[:1], data[1:]
    half = len(text) // 2
    packed = {
        b"\x01": gzip.compress(text, mtime=0), b"\x02": gzip.compress(text[:half], mtime=0) + gzip.compress(text[half:], mtime=0),
        b"\x03": gzip.compress(text, mtime=0) + bytes(20), b"\x04": gzip.compress(text, mtime=0) + text, b"\x05": gzip.compress(text, mtime=0)[:-9], b"\x06": b"\x1f\x8b" + text,
    }.get(how, text)  # fmt: skip
    read = list(read_lines(file_of(packed, "l.gz")))
    if how in (b"\x01", b"\x02", b"\x03"):
        assert read == list(read_lines(file_of(text, "l.txt"))) or text.startswith(b"\x1f\x8b")
    assert how != b"\x05", "half a file was taken for a whole one"
    written = scratch() / "m.txt"
    with atomic_text(written) as file:
        file.writelines(line + "\n" for _, line in read)
    assert not read or read[0][1].startswith("\ufeff") or list(read_lines(written)) == read


@target("encoder specs", "model: org/name\nrevision: abc\npooling: cls\nnormalize: false\nquery_prefix: 'query: '\nquery_max_length: 64\n",
        words=(*YAML_WORDS, *(f.name for f in fields(EncoderSpec))))  # fmt: skip
def specs(data: bytes) -> None:
    _survives(encoder_spec(str(file_of(data, "s.yaml"))), EncoderSpec)


@target("collections", "scifact:\n  title: SciFact\n  documents: 5183\n  splits:\n    test: {topics: 300, irds: beir/scifact/test}\n  aliases: [a, b]\n  measures: ['nDCG@10']\n",
        words=(*YAML_WORDS, *(f.name for f in fields(DatasetSpec))))  # fmt: skip
def collections(data: bytes) -> None:
    path = file_of(data, "d.yaml")
    table = read_yaml(path)
    for name, values in table.items() if isinstance(table, dict) else ():
        _survives(build(DatasetSpec, values, path, str(name)[:100]), DatasetSpec)


def _survives(made: Any, cls: type) -> None:
    """Write settings as YAML and read them again."""
    import yaml

    again = file_of(yaml.safe_dump(asdict(made), allow_unicode=True).encode(), "again.yaml")
    assert same(build(cls, read_yaml(again), again, "again")) == same(made)


def _regressions() -> list[bytes]:
    names = ("pocket.minilm.own.mean", "scifact.bm25.query2doc-gpt-41", "nq.contriever.none")
    return [path.read_bytes() for path in (ROOT / "regressions" / f"{n}.yaml" for n in names) if path.is_file()]


@target(
    "regressions",
    *_regressions(),
    words=(
        *YAML_WORDS,
        "metrics",
        "published",
        "recorded",
        "tolerance",
        "value",
        "$run",
        "$index",
        "nDCG@10",
        "stages",
    ),
)
def regressions(data: bytes) -> None:
    read = load(file_of(data, "pocket.minilm.none.yaml"))
    again = file_of(render(read).encode(), "pocket.minilm.again.yaml")
    assert same(load(again)) == same(read)


def _config(name: str) -> bytes:
    return resource("training", f"{name}.yaml").read_bytes()


@target(
    "training of encoders",
    _config("encoder"),
    b"epochs: 1\nbatch_size: 2\nlearning_rate: 2e-5\ntemperature: 0.1\nviews: {fused: 1}\n",
    words=(*YAML_WORDS, "2e-5", *(f.name for f in fields(EncoderTraining))),
)
def encoder_training(data: bytes) -> None:
    _survives(read_config(EncoderTraining, str(file_of(data, "e.yaml"))), EncoderTraining)


@target("training of generators", _config("dpo"), words=(*YAML_WORDS, "2e-5", *(f.name for f in fields(DpoSettings))))
def generator_training(data: bytes) -> None:
    _survives(read_config(DpoSettings, str(file_of(data, "g.yaml"))), DpoSettings)


@target("online trainings", _config("grpo"), words=(*YAML_WORDS, "2e-5", *(f.name for f in fields(GrpoSettings))))
def online_training(data: bytes) -> None:
    _survives(read_config(GrpoSettings, str(file_of(data, "o.yaml"))), GrpoSettings)


@target(
    "settings",
    "epochs=3",
    "learning_rate=2e-5",
    "views={fused: 1, query: 0.5}",
    words=(*YAML_WORDS, "=", *(f.name for f in fields(EncoderTraining))),
)
def overrides(data: bytes) -> None:
    """`--set key=value`, as a command gets it."""
    _survives(read_config(EncoderTraining, "encoder", [data.decode("utf-8", "surrogateescape")]), EncoderTraining)


@target("prompts", 'template: "Explain {query}. {examples}"\nversion: 3\nexample: "{query}: {passage}\\n"\nexamples: 2\ncollections: [a]\n',
        words=(*YAML_WORDS, "{query}", "{passage}", "{examples}", "{language}", "{{", "}}", "template", "example_words"))  # fmt: skip
def prompts(data: bytes) -> None:
    _prompt(file_of(data, "p.yaml"))


@target(
    "templates",
    "Explain {query}.\n{{braces}} {passage}\n",
    words=("{query}", "{passage}", "{language}", "{{", "}}", "!r", ":>9", "[0]", ".x"),
)
def templates(data: bytes) -> None:
    _prompt(file_of(data, "p.txt"))


def _prompt(path: Path) -> None:
    name, spec = find_prompt(str(path))
    examples = [("a {b}", "c }d{")] if spec.examples > 0 else []
    language = "Swahili" if "{language}" in spec.template.replace("{{", "") else None
    made = prepare(name, spec, examples, language)
    written = made.render("{query}", "\x00")
    assert "{query}" in written
    written.encode()
    assert len(made.sha256) == 64


@target(
    "manifests",
    '{"kind": "run", "made_by": "x", "encoder": {"dimension": 384, "name": "é"}, "n": [1, null, true, 0.5]}\n',
    words=JSON_WORDS,
)
def manifests(data: bytes) -> None:
    facts = read_manifest(file_of(data, "manifest.json"))
    assert facts is not None
    again = scratch() / "again.json"
    write_manifest(again, "kind", facts)
    assert same(read_manifest(again)) == same(
        {"kind": "kind", "made_by": "", **facts}
        | ({} if "made_by" in facts else {"made_by": read_manifest(again)["made_by"]})
    )  # type: ignore[index]


@target("preference pairs", '{"qid": "1", "prompt": "p", "chosen": "a", "rejected": "b", "chosen_reward": 2.0, "rejected_reward": 1, "provenance": {"generator": null}}\n',
        words=(*JSON_WORDS, '"qid"', '"prompt"', '"chosen"', '"rejected"', '"chosen_reward"', '"provenance"'))  # fmt: skip
def pairs(data: bytes) -> None:
    read = read_pairs(file_of(data, "p.jsonl"))
    again = scratch() / "again.jsonl"
    write_pairs(again, read)
    assert same(read_pairs(again)) == same(read)


@target("logs of trainings", '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": null}\n', words=(*JSON_WORDS, '"step"'))
def metrics(data: bytes) -> None:
    path = file_of(data, "metrics.jsonl")
    records = read_metrics(path)
    MetricsLog(path, resume_step=10**9)
    assert len(read_metrics(path)) <= len(records)


@target(
    "metric names",
    "nDCG@10,R@100 MAP(rel=2)",
    "ndcg_cut_10 recall.100 P(rel=3)@5",
    words=("nDCG", "MAP", "MRR", "(rel=", ")", "@", ","),
)
def measures(data: bytes) -> None:
    found = parse_measures(data.decode("utf-8", "surrogateescape"))
    assert parse_measures(",".join(map(str, found))) == found


@target("cleaner", "Sure! Here is a passage that answers the question:\n\n**Vitamin D** is made in the skin.\n\n- a\n- b\n\nI hope this helps! Let me know.", "<think>hm</think>\n```\n\"x\"\n```\nQuery: a\nPassage: b",
        "I'm sorry, but as an AI I cannot help. If you need more, feel free to ask.", "1. one\n2. two\n---\n# head\n__b c__ <|eot|>",
        words=("Here is ", "Sure", "passage", "I hope this helps", "Let me know", "<think>", "</think>", "<|channel|>final<|message|>", "```", "**", "__", "Query:", "Passage:", "\n\n", "- ", "1. ", "I will ",
               "If you need ", "feel free to ask", "\u201c", "\u201d", "# ", "---", "sorry", "Note: ", "word count:", "\r\n", "\x85", "\u2028"))  # fmt: skip
def cleaner(data: bytes) -> None:
    cleaned = clean(data.decode("utf-8", "surrogateescape"), "stop" if data[:1] < b"a" else "refusal")
    assert cleaned.text == cleaned.text.strip()
    assert "\x00" not in cleaned.text
    cleaned.text.encode()
