"""The tables that no page's test looks into."""

import pytest

from paper_repro.report import tables
from paper_repro.report.content import content
from paper_repro.report.results import read_results
from paper_repro.theory.checks import SUPPORT
from tests.conftest import ROOT


@pytest.mark.parametrize("profile", ["paper", "quick", "stand-in"])
def test_every_key_of_a_recipe_that_was_run_is_shown(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    results = read_results(profile)
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in tables.recipes(results).splitlines()
    )
    rows = [row for row in results.rows if row.seeds]
    assert head == ["Key", *(row.experiment for row in rows)]
    table = {line[0].strip("`"): dict(zip(head[1:], line[1:], strict=True)) for line in lines}
    for row in rows:
        recipe = results.inputs[row.seeds[0].run].parameters
        shown = {key: cells[row.experiment] for key, cells in table.items()}
        assert shown["batch_size"] == str(recipe["batch_size"])
        assert shown["epochs"] == str(recipe["epochs"])
        assert shown["parzen.sigma_points"] == str(recipe["parzen"]["sigma_points"])
        if "generator" not in recipe:  # another model of Table 1
            assert shown["family"] == recipe["family"]
            continue
        for player in ("generator", "discriminator"):
            for index, layer in enumerate(recipe[player]):
                assert f"layer: {layer['layer']}" in shown[f"{player}.{index}"]
                assert f"keep: {layer['keep']}" in shown[f"{player}.{index}"]
            assert shown.get(f"{player}.{len(recipe[player])}", "–") == "–"
        rate = (recipe["sgd"] or recipe["adam"])["learning_rate"]
        used, other = ("sgd", "adam") if recipe["sgd"] else ("adam", "sgd")
        assert shown[f"{used}.learning_rate"] == str(rate)
        assert shown.get(f"{other}.learning_rate", "–") == "–"


def test_section_4_s_words_are_of_its_checks_and_name_their_bound(monkeypatch):
    monkeypatch.chdir(ROOT)
    words = content("texts/theory.yaml")
    checks = read_results("paper").theory["checks"]
    assert list(words) == [check["id"] for check in checks]
    assert f"> {SUPPORT:g}," in words["trained_discriminator"]["measure"]
