"""`search` over several index folders: the run file of one index, byte for byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import faiss
import pytest

import expandr_repro as ex
from expandr_repro.data.corpus import corpus_at
from expandr_repro.indexes.faiss_index import FaissIndex, save_index
from expandr_repro.io.paths import resource

POCKET = resource("pocket")
OFF = ("--quiet", "--no-baseline")


def cut(index: Path, folder: Path, count: int) -> Path:
    """Write the parts of a flat index, as `encode --shard-id` does."""
    whole = FaissIndex.load(index)
    total = whole.index.ntotal
    for number in range(count):
        begin, end = total * number // count, total * (number + 1) // count
        part = folder / f"part{number}"
        part.mkdir(parents=True)
        flat = faiss.IndexFlatIP(whole.index.d)
        flat.add(whole.index.reconstruct_n(begin, end - begin))
        save_index(flat, whole.docids[begin:end], part)
        manifest = {k: v for k, v in (whole.manifest or {}).items() if k != "docids_sha256"}
        manifest |= {"documents": end - begin, "shard": {"number": number, "count": count}}
        (part / "manifest.json").write_text(json.dumps(manifest))
    return folder


def parts_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def five(pocket_index, tmp_path_factory):
    return cut(pocket_index, tmp_path_factory.mktemp("five") / "parts", 5)


@pytest.mark.data
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("memory", [(), ("--max-memory", "3MB")])
def test_scifact_in_parts_gives_the_run_file_of_one_index(command, data, cache, tmp_path, count, memory):
    one, several = tmp_path / "one.trec", tmp_path / "several.trec"
    assert command("search", "--topics", "scifact", "--output", one, *OFF).code == 0
    manifests = [p for p in cache.glob("indexes/faiss-*/manifest.json") if _is_scifact(p)]
    folder = cut(manifests[0].parent, tmp_path / "parts", count)
    named = [folder] if memory else parts_in(folder)[::-1]
    if memory:
        memory = ("--max-memory", max((p / "index").stat().st_size for p in parts_in(folder)))
    found = command("search", "--topics", "scifact", "--index", *named, *memory, "--output", several, *OFF)
    assert found.code == 0, found.err
    assert one.read_bytes() == several.read_bytes()


def _is_scifact(path: Path) -> bool:
    manifest = json.loads(path.read_text())
    return (manifest["documents"], manifest["factory"], manifest["encoder"]["name"], manifest["encoder"].get("precision")) == (5183, "Flat", "all-MiniLM-L6-v2", "fp32")  # fmt: skip


@pytest.mark.parametrize("fusion", ["none", "mean", "rrf", "concat", *(pytest.param(f, marks=pytest.mark.jvm) for f in ("rocchio", "average"))])  # fmt: skip
def test_every_fusion_gives_the_run_file_of_one_index_in_threads_and_one_after_another(command, pocket_index, five, tmp_path, fusion):  # fmt: skip
    largest = max((p / "index").stat().st_size for p in five.iterdir())
    runs = []
    for number, more in enumerate([["--index", pocket_index], ["--index", five], ["--index", *parts_in(five), "--max-memory", largest]]):  # fmt: skip
        runs.append(tmp_path / f"{number}.trec")
        found = command("search", "--topics", "pocket", "--fusion", fusion, *more, "--output", runs[-1], *OFF)
        assert found.code == 0, found.err
    assert len({run.read_bytes() for run in runs}) == 1


def test_the_manifest_of_the_run_names_the_parts_by_their_hashes(command, pocket_index, five, tmp_path):
    for name, index in (("one", [pocket_index]), ("several", [five]), ("named", parts_in(five)[::-1])):
        assert command("search", "--topics", "pocket", "--index", *index, "--output", tmp_path / name, *OFF).code == 0
    one, several, named = (json.loads((tmp_path / f"{n}.manifest.json").read_text()) for n in ("one", "several", "named"))  # fmt: skip
    assert several == named
    parts = several["index"].pop("parts")
    assert several["index"] == {"documents": 719}
    assert [p["documents"] for p in parts] == [143, 144, 144, 144, 144]
    assert {len(p["sha256"]) for p in parts} == {len(p["docids_sha256"]) for p in parts} == {64}
    assert len({p["sha256"] for p in parts}) == 5
    assert str(five) not in (tmp_path / "several.manifest.json").read_text()
    assert {k: v for k, v in one.items() if k != "index"} == {k: v for k, v in several.items() if k != "index"}


def test_one_query_by_hand_and_a_dry_run_take_parts(command, pocket_index, five):
    one, several = (command("search", "--query", "statins", "--index", i, "--format", "json", "--quiet") for i in (pocket_index, five))  # fmt: skip
    assert several.code == 0, several.err
    assert [h["docid"] for h in json.loads(one.out)[0]["hits"]] == [h["docid"] for h in json.loads(several.out)[0]["hits"]]  # fmt: skip
    shown = command("search", "--topics", "pocket", "--index", five, "--dry-run")
    assert shown.code == 0
    assert all(f"part{n}" in shown.out for n in range(5))


def test_encoded_shards_are_searched_as_the_index_that_they_are_merged_to(command, tmp_path):
    lines = (POCKET / "corpus.jsonl").read_text().splitlines(keepends=True)[:60]
    corpus = tmp_path / "corpus.jsonl"
    ids = ["007", "7", "a/b", "http://x.org/a?b=c", "00"]
    changed = [json.dumps(json.loads(line) | {"_id": docid}) + "\n" for docid, line in zip(ids, lines, strict=False)]
    corpus.write_text("".join(changed + lines[5:]))
    parts = [tmp_path / "parts" / str(n) for n in range(3)]
    for n, part in enumerate(parts):
        assert command("encode", "--corpus", corpus, "--shard-id", n, "--num-shards", 3, "--output", part, "--quiet").code == 0  # fmt: skip
    assert command("encode", "--merge", *parts, "--output", tmp_path / "merged", "--quiet").code == 0
    topics = tmp_path / "topics.tsv"
    topics.write_text("007\tstatins\n7\tcells and genes\n")
    runs = {}
    for name, index in (("one", tmp_path / "merged"), ("several", tmp_path / "parts")):
        found = command("search", "--topics", topics, "--index", index, "--output", tmp_path / name, *OFF)
        assert found.code == 0, found.err
        runs[name] = (tmp_path / name).read_text()
    assert runs["one"] == runs["several"]
    assert set(ids) <= {line.split()[2] for line in runs["several"].splitlines()}


def test_what_parts_cannot_do_is_one_line(command, five, pocket_index, tmp_path):
    def refused(*arguments: object) -> str:
        found = command("search", "--topics", "pocket", *arguments)
        assert (found.code, found.out) == (2, ""), found.err
        line = found.err.strip()
        assert "Traceback" not in line
        assert "\n" not in line
        return line

    assert "FaissSearcher searches one index folder; merge the parts" in refused("--index", five, "--searcher", "pyserini")  # fmt: skip
    assert "Faiss indexes, and BM25 searches a Lucene index" in refused("--index", five, "--retriever", "bm25")
    assert "--max-memory: applies only where --index names several" in refused("--index", pocket_index, "--max-memory", "1GB")  # fmt: skip
    assert "--max-memory: applies only where --index names several" in refused("--max-memory", "1GB")
    assert "'lots' is not a size; wanted e.g. 2GiB" in command("search", "--topics", "pocket", "--index", five, "--max-memory", "lots").err  # fmt: skip
    assert "alone takes" in refused("--index", five, "--max-memory", "9kB")
    assert "part 4 of 5" in refused("--index", *parts_in(five)[:4])
    assert "nowhere: no index is there" in refused("--index", *parts_in(five), "nowhere")
    assert "part0: is named twice; name each part once" in refused("--index", *parts_in(five), parts_in(five)[0])
    assert "made with other settings of this encoder (pooling is" in refused("--index", five, "--pooling", "cls")
    shutil.copytree(five, tmp_path / "five")
    (tmp_path / "five" / "part3" / "docid").unlink()
    assert "part3: no index is there" in refused("--index", tmp_path / "five")


def test_several_lucene_indexes_are_refused_with_the_reason(command, tmp_path):
    for n in range(2):
        (tmp_path / "parts" / str(n)).mkdir(parents=True)
        (tmp_path / "parts" / str(n) / "segments_1").touch()
    for index in ([tmp_path / "parts"], parts_in(tmp_path / "parts")):
        found = command("search", "--topics", "pocket", "--retriever", "bm25", "--index", *index)
        assert found.code == 2
        assert "weighs terms by their counts in the whole corpus" in found.err
        assert "make one Lucene index of the whole corpus (encode --retriever bm25)" in found.err
        found = command("search", "--topics", "pocket", "--index", *index)
        assert found.code == 2
        assert "is a Lucene index" in found.err


def test_python_opens_a_list_of_index_folders_as_one(five, pocket_index):
    topics = ex.load_topics("pocket")
    one = ex.retrieve(topics, ex.open_index(pocket_index))
    for index in (parts_in(five), [str(p) for p in parts_in(five)], five):
        opened = ex.open_index(index)
        assert (len(opened), opened.retriever) == (719, "dense")
        assert ex.retrieve(topics, opened) == one


@pytest.mark.jvm
def test_an_index_of_parts_serves_fuse(command, five, pocket_index, tmp_path):
    for name, index in (("one", pocket_index), ("several", five)):
        found = command("fuse", "--topics", "pocket", "--retrievers", "dense:none,dense:rocchio", "--index", index, "--output", tmp_path / name, "--quiet")  # fmt: skip
        assert found.code == 0, found.err
    assert (tmp_path / "one").read_bytes() == (tmp_path / "several").read_bytes()


def test_the_corpus_of_pocket_is_no_folder_of_parts():
    from expandr_repro.indexes.parted import parts_of

    assert corpus_at(POCKET)
    assert parts_of(str(POCKET)) == []
