"""The folder that `onoff report` writes: its numbers are the store's, its text is text, and what is missing is said."""

import csv
import errno
import json
import os
import platform
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_assets.report.choosing import choose_two, named_responses
from onoff_assets.report.gathering import gather, named_partitions
from onoff_assets.report.tables import latex
from onoff_core import atomic
from onoff_core.cli.main import main
from onoff_core.errors import PartitionError
from onoff_core.frames import open_study
from onoff_core.store import Store
from tests.browser.conftest import HOSTILE, HOSTILE_ID
from tests.report.making import FIRST, SECOND, WRONG


@pytest.fixture(scope="module")
def report(made_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("out") / "report"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ONOFF_CONFIG", "ONOFF_STORE"):
            patch.delenv(name, raising=False)
        patch.chdir(made_study)
        assert main(["report", "--partitions", f"{FIRST},{SECOND}", "--output", str(output)]) == 0
    return output


class Page(HTMLParser):
    """What a browser would take for markup: elements with their attributes, and the scripts' texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.within = "", ""
        self.data: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.within = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        self.data[self.within] = self.data.get(self.within, "") + data
        self.text += data


def pages(report: Path) -> list[Path]:
    return [report / "index.html", *sorted((report / "responses").iterdir())]


def test_the_table_has_the_stores_numbers(report: Path, made_study: Path) -> None:
    study = open_study(made_study)
    rows = {f"{row['dataset']}|{row['model']}": row for row in csv.DictReader((report / "table.csv").open())}
    for key in (FIRST, SECOND):
        stored = study.statistics(key).to_pylist()[0]
        for name in ("accuracy", "interval_low", "interval_high", "same_problems_low", "mean_num_tokens"):
            assert float(rows[key][name]) == stored[name], name
        ends = f"[{100 * stored['interval_low']:.1f}, {100 * stored['interval_high']:.1f}]"
        assert f"{100 * stored['accuracy']:.1f}{ends}" in Page((report / "index.html").read_text()).text
        assert f"& {100 * stored['accuracy']:.1f} &" in (report / "table.tex").read_text()
        assert f"{{\\scriptsize {ends}}}" in (report / "table.tex").read_text()
    at_k = list(csv.DictReader((report / "at_k.csv").open()))
    stored = study.statistics(FIRST).to_pylist()[0]
    assert [float(row["estimate"]) for row in at_k if (row["model"], row["statistic"]) == ("first", "pass_at_k")] == [
        one["estimate"] for one in stored["pass_at_k"]
    ]


def test_latex_of_names_sets_exactly_them(report: Path) -> None:
    table = (report / "table.tex").read_text()
    assert "second\\_one" in table
    assert table.count("\\toprule") == table.count("\\bottomrule") == 1
    body = table.partition("\\midrule")[2].partition("\\bottomrule")[0]
    columns = re.search(r"begin\{tabular\}\{(\w+)\}", table)
    assert columns is not None
    assert {line.count("&") for line in body.splitlines() if "\\\\" in line} == {len(columns[1]) - 1}
    assert latex("a_b & 5% of $x^2 {#} \\ ~\n") == (
        "a\\_b \\& 5\\% of \\$x\\textasciicircum{}2 \\{\\#\\} \\textbackslash{} \\textasciitilde{} "
    )


def test_the_methods_name_every_setting_and_version(report: Path, made_study: Path) -> None:
    text = (report / "methods.txt").read_text()
    study = open_study(made_study)
    run = study.store.require("rewards", ("sums", "first")).manifest().facts["run"]["packages"]
    for word in (
        "sums (3 problems, content ", "first (fake", "4 responses were drawn per problem at temperature 0.7",
        "top-p 0.95", "without top-k truncation", "at most 60 tokens", "seed 7", "the template chatml", "\\boxed{}",
        "math_verify",
        f"math-verify {run['math-verify']}", "the 5 most probable tokens", "onoff 0.1.0", "Gaffke",
    ):  # fmt: skip
        assert word in text, word
    assert "methods.tex" in (report / "index.html").read_text()
    told = json.loads((report / "settings.json").read_text())[FIRST]
    assert told["samples"]["settings"]["sampling"]["top_p"] == 0.95
    assert told["rewards"]["inputs"]["samples"] == told["samples"]["fingerprint"]
    assert told["rewards"]["versions"]["math-verify"] == run["math-verify"]
    everything = "".join(path.read_text() for path in report.rglob("*") if path.is_file())
    assert str(made_study) not in everything  # no path of this machine, nor its name
    assert platform.node() not in everything.split()


def test_calibration_is_what_the_store_has_of_confidence(report: Path, made_study: Path) -> None:
    """The fake engine is equally unsure everywhere, so no measure tells right from wrong."""
    study = open_study(made_study)
    stored = {row["measure"]: row["auroc"] for row in study.table("confidence_statistics", FIRST).to_pylist()}
    rows = [row for row in csv.DictReader((report / "calibration.csv").open()) if row["model"] == "first"]
    assert {row["measure"]: float(row["auroc"]) if row["auroc"] else None for row in rows} == stored
    assert stored["mean_entropy"] == 0.5
    voting = [row for row in csv.DictReader((report / "voting.csv").open()) if row["model"] == "first"]
    assert len(voting) == study.table("confidence_voting", FIRST).num_rows > 0
    page = Page((report / "index.html").read_text()).text
    assert "firstmean_entropy0.500" in page


def test_confidence_of_other_samples_is_left_out(made_study: Path) -> None:
    from onoff_assets.report.calibration import calibrations

    gathered = gather(open_study(made_study), [FIRST])
    assert len(calibrations(gathered)) == 1
    manifest = gathered.there[0].manifests["rewards"]
    gathered.there[0].manifests["rewards"] = replace(manifest, fingerprint="f" * 16)
    assert calibrations(gathered) == []


def test_settings_that_differ_are_said_of_whom(
    made_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onoff_assets.report.methods import methods

    gathered = gather(open_study(made_study), [FIRST, SECOND])
    manifest = gathered.there[1].manifests["samples"]
    monkeypatch.setitem(manifest.settings["task"], "template_type", "simple")
    later = {"effort": "high", "budget": {"tokens": 64}, "unused": None}  # settings that this code knows no words for
    monkeypatch.setitem(manifest.settings, "sampling", {**manifest.settings["sampling"], **later})
    said = methods(gathered.there)
    assert any(text.endswith("seed 7, effort high, budget tokens = 64.") and SECOND in text for text in said)
    assert f"Of {FIRST}: prompts follow the template chatml." in said
    assert f"Of {SECOND}: prompts follow the template simple." in said


def test_a_right_and_a_wrong_response_are_shown(report: Path, made_study: Path) -> None:
    """Of the problem with two right of four: samples 0 and 1 of the first model."""
    gathered = gather(open_study(made_study), [FIRST, SECOND])
    first = [(one.problem_id, one.sample_index) for one in choose_two(gathered.there[0])]
    problem = gathered.there[0].responses.problem_ids[0]
    assert first == [(problem, 0), (problem, 1)]
    text = Page((report / "index.html").read_text()).text
    assert f"{FIRST}, problem {problem}, sample 0" in text
    assert "nearest to one half" in text
    assert len(pages(report)) == 5


def test_every_page_is_small_closed_and_asks_nobody(report: Path) -> None:
    for path in pages(report):
        text = path.read_text()
        assert len(text.encode()) < 5_000_000
        page = Page(text)
        policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
        assert policy is not None
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        for tag, attributes in page.elements:
            assert tag not in ("link", "iframe", "img", "base", "form"), tag
            assert not any(name.startswith("on") or name == "style" or name == "src" for name in attributes), attributes
            href = attributes.get("href") or ""
            assert ":" not in href, href
            if href:
                assert (path.parent / href).is_file(), href


def test_a_response_stays_text(report: Path, made_study: Path) -> None:
    """The wrong response holds a script, and the question a tag: no page has an element of them."""
    path = next(path for path in pages(report) if path.name.startswith("2-"))
    page = Page(path.read_text())
    assert [tag for tag, _ in page.elements].count("script") == 2  # ours, and the data
    assert "b" not in [tag for tag, _ in page.elements]
    assert "What is 4 + 7? <b>" in page.text
    assert "".join(json.loads(page.data["response"])["content"]["text"]).startswith(WRONG)
    assert "<script>alert" not in path.read_text()


def test_hostile_text_has_no_element_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As problem id, question, gold and extracted answer, solution and response; on every page and in LaTeX."""
    store = Store(str(tmp_path / "store"))
    response = MadeUp([*encode(HOSTILE), STOP], 0, HOSTILE)
    right = MadeUp([*encode(HOSTILE), STOP], 1, "2")
    problem = MadeUpProblem(HOSTILE_ID, [response, right], question=HOSTILE, answer=HOSTILE, solution=HOSTILE)
    write_partition(store, "d", "m", [problem])
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--store", "store", "--output", "report"]) == 0
    assert main(["report", "--store", "store", "--responses", f"{HOSTILE_ID}#1", "--output", "one.html"]) == 0
    found = [*pages(tmp_path / "report"), tmp_path / "one.html"]
    assert len(found) == 4
    for path in found:
        page = Page(path.read_text())
        tags = [tag for tag, _ in page.elements]
        assert "img" not in tags
        assert tags.count("script") == (1 if path.name == "index.html" else 2)
        shown = page.text.replace(page.data.get("response", ""), "")  # what the script writes by itself, as text nodes
        assert "\u202e" not in shown  # what turns the direction of writing has a mark
        assert "⟨U+202E⟩" in page.text
    title = Page(found[-1].read_text()).data["title"]
    assert HOSTILE_ID in title


def test_what_is_no_longer_in_the_study_says_so(
    made_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (made_study / "onoff.yaml").read_text().replace("path: store", f"path: {made_study / 'store'}")
    (tmp_path / "onoff.yaml").write_text(text.replace("  second_one:", "  other:"))
    (tmp_path / "sums.csv").write_text((made_study / "sums.csv").read_text())
    monkeypatch.chdir(tmp_path)
    gathered = gather(open_study(stale="accept"), [SECOND])
    assert gathered.there[0].notes == ("not in the study",)


def test_the_bars_are_the_browsers(report: Path, made_study: Path) -> None:
    """What is packed into a page is, unpacked, what the browser's bars show of the same token."""
    from onoff_assets.browser.bars import as_payload, bars_of
    from onoff_assets.browser.numbers import short
    from onoff_assets.browser.reading import Reader

    reader = Reader(open_study(made_study).store)
    responses = reader.responses(("sums", "first"))
    sample = reader.sample(responses, responses.problem_ids[0], 0)
    vocabulary = reader.vocabulary("first")
    assert vocabulary is not None
    page = next(path for path in pages(report) if path.name.startswith("1-"))
    told = json.loads(Page(page.read_text()).data["response"])
    for at in range(len(sample.token_ids)):
        distribution = reader.distribution(reader.distributions(responses), responses, sample, at)
        expected = as_payload(bars_of(distribution, vocabulary.label, 20), "", "", None)["rows"]
        chosen, stored, tail, packed = told["alternatives"]["tokens"][at]
        rows = [packed[i : i + 3] for i in range(0, len(packed), 3)]
        labels = [told["alternatives"]["labels"][row[0]] for row in rows]
        assert [[*label, row[1] or None] for label, row in zip(labels, rows, strict=True)] == [
            row[:3] for row in expected
        ]
        assert [row[2] / 1e6 if isinstance(row[2], int) else row[2] for row in rows] == [row[3] for row in expected]
        assert [number == chosen for number in range(len(rows))] == [row[4] for row in expected]
        assert (stored, tail) == (5, short(distribution.tail_mass))


def test_one_response_is_one_file(made_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made_study)
    problem = open_study().problems("sums")["problem_id"][0].as_py()
    output = tmp_path / "one.html"
    assert main(["report", "--partitions", FIRST, "--responses", f"{problem}#1", "--output", str(output)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["one.html"]
    page = Page(output.read_text())
    assert f"{FIRST}, problem {problem}, sample 1" in page.text
    assert not any(attributes.get("href") for _, attributes in page.elements)


def on_a_full_disk(put: Callable[[Path, Path], None], name: str) -> Callable[[Path, Path], None]:
    """The file of this name is the first for which there is no room."""

    def put_or_not(scratch: Path, target: Path) -> None:
        if target.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put(scratch, target)

    return put_or_not


def test_a_second_report_replaces_the_first_or_what_there_is_of_it(
    made_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made_study)
    output, store = tmp_path / "report", made_study / "store"
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "put", on_a_full_disk(atomic.put, "table.tex"))
        assert main(["report", "--output", str(output)]) == 1
    assert "table.tex: cannot be written (No space left on device): no room is left" in capsys.readouterr().err
    assert "This report was not finished" in (output / "index.html").read_text()
    before = sorted((path, path.stat().st_mtime_ns) for path in store.rglob("*"))
    assert main(["report", "--output", str(output)]) == 0
    assert main(["report", "--partitions", FIRST, "--output", str(output)]) == 0
    assert before == sorted((path, path.stat().st_mtime_ns) for path in store.rglob("*"))  # it reads and writes nothing
    assert len(list((output / "responses").iterdir())) == 2
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.tex").write_text("mine")
    assert main(["report", "--output", str(tmp_path / "own")]) == 1
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--partitions", "sums|frist"], "there is no 'sums|frist'; did you mean 'sums|first'"),
        (["--partitions", ","], "--partitions names none"),
        (["--responses", "nope#0"], "has no problem 'nope'"),
        (["--responses", "q0"], "write problem#sample"),
        (["--responses", "q0#0", "--partitions", FIRST, "--output", "x/y.html"], "no problem 'q0'"),
        (["--output", "one.html"], "a file has one response"),
    ],
)  # fmt: skip
def test_a_slip_is_a_sentence(
    made_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[str], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(made_study)
    asked = options if "--output" in options else [*options, "--output", str(tmp_path / "out")]
    assert main(["report", *asked]) == 1
    assert says in capsys.readouterr().err


def test_what_is_missing_or_stale_is_said(
    made_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (made_study / "onoff.yaml").read_text().replace("path: store", f"path: {made_study / 'store'}")
    third = "models:\n  third: {model_name: fake, backend_type: fake}"
    (tmp_path / "onoff.yaml").write_text(text.replace("temperature: 0.7", "temperature: 0.9").replace("models:", third))
    (tmp_path / "sums.csv").write_text((made_study / "sums.csv").read_text())
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--output", "report"]) == 0
    out, shown = capsys.readouterr().out, Page((tmp_path / "report" / "index.html").read_text()).text
    stale = "samples and what is made from them are stale: sampling.temperature is 0.9, was 0.7"
    assert stale in out
    assert stale in shown
    assert f"% {stale}" in (tmp_path / "report" / "table.tex").read_text()
    assert "sums|third: of these there are no statistics yet" in shown
    assert "--partition 'sums|third'" in out
    assert main(["report", "--partitions", "sums|third", "--output", "none"]) == 1
    assert "none of the partitions has statistics" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_named_responses_may_have_commas() -> None:
    assert named_responses("a,b#1,c#22") == [("a,b", 1), ("c", 22)]
    for wrong in ("a", "a#", "#1", "a#1,b", ""):
        with pytest.raises(PartitionError):
            named_responses(wrong)


def test_without_names_it_is_every_partition(made_study: Path) -> None:
    assert named_partitions(open_study(made_study), None) == [FIRST, SECOND]
    assert named_partitions(open_study(made_study / "store"), None) == [FIRST, SECOND]
    assert named_partitions(open_study(made_study), f" {SECOND} , {SECOND}") == [SECOND]
