"""Texts from strangers on pages and on the terminal: shown as they are, never run, never steering."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from expandr_repro import cli
from expandr_repro.console.tables import FORMATS, Table
from expandr_repro.console.terminal import one_line, printable
from expandr_repro.report import __main__ as report
from expandr_repro.report.writing import embedded

AREA = "Attacked"
ROOT = Path(__file__).resolve().parents[2]
IMAGE = "<img src=x onerror=window.taken=1>"
RUN = "b'\"><svg onload=window.taken=1>"

MARKUP = (
    "<script>window.taken=1</script>", "</script><script>window.taken=1</script>", IMAGE, f"\">{IMAGE}", "'><svg onload=window.taken=1>",
    "<svg><script>window.taken=1</script></svg>", "<iframe srcdoc='<script>parent.taken=1</script>'>", "<body onload=window.taken=1>",
    "javascript:window.taken=1", "<a href=javascript:window.taken=1>x</a>", "[x](javascript:window.taken=1)", "<!--<script>", "--><script>window.taken=1</script>",
    "<![CDATA[<script>window.taken=1</script>]]>", "{{data}}", "{{constructor.constructor('window.taken=1')()}}", "${window.taken=1}", "`-window.taken=1-`",
    "\\u003cscript\\u003ewindow.taken=1\\u003c/script\\u003e", "&lt;script&gt;window.taken=1&lt;/script&gt;", "\u2028window.taken=1\u2029", "\u202egnp.exe",
    "<style>*{display:none}</style>", "<base href=//evil.example/>", "<meta http-equiv=refresh content=0;url=//evil.example/>", "<form action=//evil.example/><button>x",
    "<details open ontoggle=window.taken=1>", f"<math><mtext></p>{IMAGE}", "\" onmouseover=\"window.taken=1", "' autofocus onfocus='window.taken=1", "\x1b[2J\x9b31m",
)  # fmt: skip


def word(text: str) -> str:
    """Return a text as an id: without white space."""
    return re.sub(r"\s+", "/", text)


IDS = [word(f"{text}#{number}") for number, text in enumerate(MARKUP)]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report in which everything that can be named or written tries to become markup."""
    folder = tmp_path_factory.mktemp("pages")
    named = list(zip(IDS, MARKUP, strict=True))

    def lines(name, records):
        (folder / name).write_text("".join(json.dumps(r) + "\n" for r in records))
        return folder / name

    topics = lines(
        f"topics{IMAGE}.jsonl",
        (
            {"qid": q, "title": f"{m} kiwi", "expansions": [f"{m} bird {m}"], "provenance": {"model": m}}
            for q, m in named
        ),
    )
    corpus = lines(f"corpus{IMAGE}.jsonl", ({"_id": f"D{q}", "title": m, "text": f"{m} bird {m}"} for q, m in named))
    qrels = folder / f"qrels{IMAGE}.txt"
    qrels.write_text("".join(f"{q} 0 D{q} 1\n" for q in IDS))
    runs = []
    for shift, name in enumerate((f"a{IMAGE}", RUN)):
        rows = ((q, IDS[(i + s * (1 + shift)) % len(IDS)], s) for i, q in enumerate(IDS) for s in range(4))
        runs.append(folder / f"{name}.trec")
        runs[-1].write_text("".join(f"{q} Q0 D{d} {s} {9 - s} {word(IMAGE)}\n" for q, d, s in rows))
        facts = {"kind": "run", "retriever": IMAGE, "fusion": f"</script>{IMAGE}", "encoder": {"name": IMAGE}}
        (folder / f"{name}.trec.manifest.json").write_text(json.dumps(facts))
    output = folder / "report.html"
    arguments = [
        *runs,
        "--qrels",
        qrels,
        "--topics",
        topics,
        "--corpus",
        corpus,
        "--expansions",
        topics,
        "--title",
        f"{IMAGE} & </title>",
    ]
    assert report.main([*map(str, arguments), "--output", str(output), "--quiet"]) == 0
    return output


LOOK = """
for (const e of document.querySelectorAll('*')) for (const t of ['mouseover', 'focus', 'toggle', 'error', 'load']) e.dispatchEvent(new Event(t));
return [typeof window.taken, document.querySelectorAll('img, iframe, svg script, form, base, meta[http-equiv=refresh], [onload], [onerror], a[href^="javascript:"]').length]
"""


def test_nothing_on_a_report_runs_whatever_topics_documents_runs_and_files_are_called(driver, page, record_property):
    driver.get("about:blank")
    driver.get_log("browser")
    for topic, text in zip(IDS, MARKUP, strict=True):
        asked = "return 'run=' + encodeURIComponent(arguments[1]) + '&topic=' + encodeURIComponent(arguments[0])"
        driver.get("about:blank")
        driver.get(f"{page.as_uri()}#{driver.execute_script(asked, topic, RUN)}")
        assert driver.execute_script("return document.querySelector('#topic code').textContent") == topic
        driver.execute_script("for (const e of [...document.querySelectorAll('.hit')].slice(0, 4)) e.click()")
        find = (
            "const b = document.getElementById('search'); b.value = arguments[0]; b.dispatchEvent(new Event('input'))"
        )
        driver.execute_script(find, text)
        assert driver.execute_script(LOOK) == ["undefined", 0]
        assert driver.current_url.startswith(page.as_uri())
    assert driver.get_log("browser") == []
    shown = driver.execute_script("return document.body.textContent")
    assert IMAGE in shown
    assert RUN in shown
    record_property("tried", len(MARKUP) * 8)  # as id, title, expansion, document's id, title and text, link, search


def test_a_reports_own_policy_would_stop_what_got_through(driver, page, record_property):
    """The second wall: even a script that stood in the page would not run."""
    content = page.read_text(encoding="utf-8")
    holes = f"<script>window.taken=1</script>{IMAGE}<a id=j href='javascript:window.taken=1'>x</a>"
    holed = page.with_name("holed.html")
    holed.write_text(re.sub(r"<body[^>]*>", lambda found: found[0] + holes, content, count=1), encoding="utf-8")
    assert holes in holed.read_text(encoding="utf-8")
    driver.get("about:blank")
    driver.get(holed.as_uri())
    driver.execute_script("document.getElementById('j').click()")
    assert driver.execute_script("return typeof window.taken") == "undefined"
    driver.get_log("browser")
    record_property("tried", 3)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.text() | st.sampled_from(MARKUP),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
)
def test_data_embedded_in_a_page_never_ends_its_element_and_reads_back_as_it_was(value):
    written = embedded(value)
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == value


def stranger(text: str, **more: object) -> str:
    """Return a regression file whose every text is a stranger's."""
    content = yaml.safe_load((ROOT / "regressions" / "scifact.minilm.q2d-claude.yaml").read_text(encoding="utf-8"))
    content["title"] = content["note"] = content["expansions"]["title"] = text
    content["published"] = [{"metric": "nDCG@10", "value": 0.5, "source": text, "note": text}]
    content["recorded"] |= {"python": text, "platform": text, "versions": {text: text}}
    return yaml.safe_dump({k: v for k, v in (content | more).items() if v is not None})


def test_the_page_of_results_gets_no_markup_from_a_regression_file(command, tmp_path, record_property):
    (tmp_path / "r").mkdir()
    for number, text in enumerate(MARKUP):
        (tmp_path / "r" / f"scifact.minilm.x{number}.yaml").write_text(stranger(text))
        (tmp_path / "r" / f"scifact.minilm.m{number}.yaml").write_text(stranger(text, tier="manual", recorded=None))
    (tmp_path / "page.md").write_text("")
    assert command("regress", "--regressions", tmp_path / "r", "--document", tmp_path / "page.md").code == 0
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "<" not in page
    assert "](javascript" not in page
    assert not set("\x1b\x9b\u2028\u2029\u202e") & set(page)
    marked = tmp_path / "marked.md"
    marked.write_text("<!-- results: begin -->\n<!-- results: end -->\nmine\n")
    (tmp_path / "r" / "scifact.minilm.z.yaml").write_text(stranger("x <!-- results: end --> y"))
    for _ in range(2):
        assert command("regress", "--regressions", tmp_path / "r", "--document", marked).code == 0
    assert marked.read_text().count("<!-- results: end -->") == 1
    record_property("tried", 2 * len(MARKUP) + 1)


STEERING = ("\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x1b]8;;http://evil\x07link\x1b]8;;\x07", "\x9b2J", "a\rb", "\x08\x08\x08", "\x7f", "\u202egpj", "\u2066x\u2069", "\x00", "\u2028", "\x1bP+q\x1b\\")  # fmt: skip
UNSEEN = set("\x1b\x9b\x07\x08\r\x7f\x00\u202e\u2066\u2069\u2028")


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_prints_nothing_that_steers_a_terminal(form, record_property):
    made = Table(["run", *STEERING], [[text, *STEERING] for text in STEERING]).render(form)
    assert not UNSEEN & set(made)
    if form == "json":
        assert [row["run"] for row in json.loads(made)] == list(STEERING)
    record_property("tried", len(STEERING))


def test_errors_notes_and_tracebacks_print_nothing_that_steers_a_terminal(capsys, record_property):
    made = cli.parser("x", "x", "x")

    def fail(text):
        def run(_):
            logging.getLogger("expandr_repro.x").warning("%s", text)
            raise cli.ExpandrError(text)

        return run

    for text in STEERING:
        for arguments in ([], ["-v"]):
            assert cli.execute(made, fail(text), arguments) == 2
            assert not UNSEEN & set(capsys.readouterr().err)
    record_property("tried", 2 * len(STEERING))


def test_files_with_steering_names_and_texts_are_told_of_harmlessly_by_every_command(
    command, tmp_path, monkeypatch, record_property
):
    monkeypatch.chdir(tmp_path)
    name, qid, tried = "\x1b[2J\x1b]0;x\x07\u202e", "\x1b[31mq\x9b", 0
    topic = {
        "qid": qid,
        "title": f"{name} kiwi",
        "expansions": [f"{name}\r\x08 bird"],
        "provenance": {"prompt": name, "model": name},
    }
    Path(f"{name}.jsonl").write_text(json.dumps(topic) + "\n")
    runs, qrels = [f"{name}1.trec", f"{name}2.trec"], f"{name}.qrels"
    for run in runs:
        Path(run).write_text(f"{qid} Q0 d{qid} 1 1.0 t\n")
    Path(qrels).write_text(f"{qid} 0 d{qid} 1\nother{qid} 0 d 1\n")
    Path("evil.a.b.yaml").write_text(json.dumps({"title": name, name: name}))
    for words in (
        ["search", "--topics", f"{name}.jsonl", "--index", "pocket"],
        ["search", "--topics", f"{name}.jsonl", "--index", name],
        ["search", "--topics", "pocket", "--expansions", f"{name}.jsonl"],
        *(["evaluate", *runs, "--qrels", qrels, "--per-topic", "--format", form] for form in FORMATS),
        *(["compare", *runs, "--qrels", qrels, "--per-topic", "--format", form] for form in FORMATS),
        ["expand", "show", f"{name}.jsonl"],
        ["expand", "stats", f"{name}.jsonl"],
        ["expand", "show", f"{name}.jsonl", name],
        ["report", *runs, "--qrels", qrels, "--topics", f"{name}.jsonl", "--output", "r.html"],
        ["regress", "evil.a.b.yaml", "--list"],
        ["regress", "evil.a.b.yaml", "--show"],
        ["regress", "evil.a.b.yaml"],
        ["prefer", "--candidates", f"{name}.jsonl", "--gold", "pocket/test", "--output", "p.jsonl"],
        ["encode", "--corpus", name, "--output", "out"],
    ):
        for more in ([], ["-v"]):
            result = command(*words, *more)
            assert result.code in (0, 1, 2)
            assert not UNSEEN & set(result.out + result.err), words
            tried += 1
    record_property("tried", tried)


@settings(max_examples=300)
@given(st.text(st.characters(codec=None)))
def test_what_is_made_printable_stays_so_and_ordinary_text_stays_as_it_is(text):
    made = printable(text)
    assert printable(made) == made
    assert not UNSEEN & set(made)
    made.encode("utf-8")
    assert "\n" not in one_line(text)
    if text.isprintable():
        assert made == text


def test_reports_for_other_programs_carry_markup_as_text(command, tmp_path, monkeypatch, record_property):
    """JUnit XML for CI systems, LaTeX for papers, scores as SVG."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r").mkdir()
    for number, text in enumerate(MARKUP):
        (tmp_path / "r" / f"a.b.x{number}.yaml").write_text(json.dumps({"title": text, text: 1}))
    assert command("regress", "--tier", "ci", "--regressions", "r", "--junit", "j.xml", "--json", "j.json").code == 1
    suite = ET.parse("j.xml").getroot()
    assert {e.tag for e in suite.iter()} <= {"testsuite", "testcase", "failure", "skipped", "system-out"}
    assert len(json.loads(Path("j.json").read_text())["conditions"]) == len(MARKUP)
    commands = (r"\input{/etc/passwd}", r"\write18{touch pwned}", r"a&b%c$d#e_f{g}h~i^j", r"\end{tabular}\input{x}")
    made = Table(["run"], [[text] for text in commands]).render("latex")
    assert not re.search(r"\\(input|write|end\{tabular\}.)", made)
    (tmp_path / "qrels").write_text("1 0 d1 1\n2 0 d2 1\n")
    (tmp_path / "base.trec").write_text("1 Q0 d1 1 1.0 t\n2 Q0 d3 1 1.0 t\n")
    names = ("<script>x", "$\\frac{", "$x$", "&amp;]]>--", "\\")
    for number, name in enumerate(names):
        (tmp_path / f"{name}.trec").write_text(f"1 Q0 d{number} 1 1.0 t\n2 Q0 d2 1 1.0 t\n")
        result = command("compare", "base.trec", f"{name}.trec", "--qrels", "qrels", "--plot", "p.svg")
        assert result.code == 0, result.err
        drawn = ET.parse("p.svg").getroot()
        assert not [e for e in drawn.iter() if isinstance(e.tag, str) and e.tag.endswith("script")]
    record_property("tried", len(MARKUP) + len(commands) + len(names))
