"""The command asks what it is told to ask, keeps what was answered before, and fills a page."""

from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.report import BEGIN, END, Result, read


def result(title: str) -> Result:
    return Result(title, "This with that.", ("what", "ms"), [["one", 1.0]])


def test_answers_are_kept_and_put_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "QUESTIONS", {"a": lambda: result("First"), "b": lambda: result("Second")})
    page = tmp_path / "page.md"
    page.write_text(f"top\n{BEGIN}\n{END}\n")
    command.main(["a", "--out", str(tmp_path)])
    command.main(["b", "--out", str(tmp_path), "--page", str(page)])
    assert set(read(tmp_path / "results.json")) == {"a", "b"}
    text = page.read_text()
    assert "### First" in text
    assert "### Second" in text
    assert "Measured on: processor" in text


def test_an_unknown_question_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["faster"])
    assert "got faster" in capsys.readouterr().err
