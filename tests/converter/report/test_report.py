"""The conversion report: one HTML file with the gate's figures and no external resources."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from converter.cli.main import main
from converter.convert import Conversion
from converter.quantization.quantization_schemes import SCHEMES
from converter.report.bar_chart import bar_chart
from converter.report.build import render
from trainer.report.page import table

pytestmark = pytest.mark.train
VOID = {"meta", "br", "img", "rect"}


class _Balanced(HTMLParser):
    """Collects open tags and the addresses of all resources."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag


@pytest.fixture(scope="module")
def text(conversion: Conversion) -> str:
    """The page as HTML."""
    return render(conversion)


def test_it_is_complete_and_loads_no_resource(text: str) -> None:
    """Every tag is closed, every picture is embedded, and no resource is loaded."""
    parser = _Balanced()
    parser.feed(text)
    assert parser.open == []
    assert len(parser.addresses) == 24
    assert all(address.startswith("data:image/jpeg;base64,") for address in parser.addresses)
    assert "default-src 'none'" in text


def test_it_shows_the_figures_of_the_gate(text: str, conversion: Conversion) -> None:
    """It shows schemes, runtimes, layer errors, layer speed and thresholds."""
    assert all(scheme in text for scheme in SCHEMES)
    for heading in ("Schemes side by side", "Verdicts that flip: 0", "Error by layer", "Speed"):
        assert heading in text
    assert all(result.runtime in text for result in conversion.chosen.runtime_results)
    assert text.count('aria-label="error by layer"') == 1
    assert re.search(r"<th>shapes</th><td>conv_2d</td>", text)
    assert f"{conversion.spec.thresholds.reject_at:.4f}" in text


def test_names_are_escaped(text: str) -> None:
    """Names of files and layers are escaped."""
    evil = "<script>alert(1)</script>"
    assert evil not in table(["a"], [[evil]]) + bar_chart("t", [(evil, 1.0, evil)], evil)
    assert not re.search(r"<script", text)


def test_it_stands_beside_the_model_file(trained: Path, data: Path, tmp_path: Path) -> None:
    """The default path is NAME.html; --report names another."""
    output = tmp_path / "rust.tflite"
    call = [str(trained), "--data", str(data), "-o", str(output), "--scheme", "float32"]
    call += ["--without-tflite-runtime"]
    assert main(call) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rust.html", "rust.tflite"]
    other = tmp_path / "other.html"
    assert main([*call, "--report", str(other)]) == 0
    assert other.read_text(encoding="utf-8").startswith("<!doctype html>")
