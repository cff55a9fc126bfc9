from pathlib import Path

import pytest
import torch

from paper_repro.core.files import read_json
from paper_repro.core.random_streams import stream_rng
from paper_repro.diagnostics.parzen_audit import AuditSettings, references
from paper_repro.report.report import report
from paper_repro.report.results import read_results
from tests.conftest import AUDIT

SMALL = AUDIT | {"samples": tuple(AUDIT["samples"])}


@pytest.fixture
def images():
    draw = stream_rng(0, "audit test")
    centres = torch.rand(3, 12, generator=draw)
    chosen = torch.randint(3, (600,), generator=draw)
    return (centres[chosen] + 0.1 * torch.randn(600, 12, generator=draw)).clamp(0, 1)


def test_the_references_are_what_their_names_say(images):
    found = dict(references(images, 250, AuditSettings(**SMALL), 0))
    names = ["training images", "k-means centroids", "a Gaussian", "a mixture of Gaussians"]
    assert list(found) == names
    taken = {tuple(image) for image in found["training images"].tolist()}
    assert len(taken) == len(found["training images"]) == 250  # none twice
    assert taken <= set(map(tuple, images.tolist()))
    centroids = found["k-means centroids"]
    assert centroids.shape == (30, 12)
    nearest = torch.cdist(images, centroids).argmin(1)
    for index in range(30):  # in so few steps nearly the mean of what is nearest
        assert (images[nearest == index].mean(0) - centroids[index]).abs().max() < 0.1
    normal = found["a Gaussian"]
    assert (normal.mean(0) - images.mean(0)).abs().max() < 0.1
    assert (torch.cov(normal.T) - torch.cov(images.T)).abs().max() < 0.05
    near = {name: torch.cdist(found[name], images).min(1).values.median() for name in names}
    assert near["a mixture of Gaussians"] < near["a Gaussian"]
    again = dict(references(images, 250, AuditSettings(**SMALL), 0))
    assert all(torch.equal(samples, again[name]) for name, samples in found.items())


def test_the_stage_measures_every_part_and_the_report_shows_them(measured):
    found = read_json(measured.run.folder / "parzen_audit.json")
    assert found["rows"][0]["samples"] == "ours"
    assert len(found["rows"]) == 5
    for row in found["rows"]:
        assert row["sigma"] in found["sigma_grid"]
        assert 0.1 <= row["fine"]["sigma"] <= 1
    assert [point["n"] for point in found["curve"]] == [20, 200]
    assert len({draw["test_mean"] for draw in found["draws"]}) == 3
    report("quick")
    assert read_results("quick").audit["rows"] == found["rows"]
    assert Path("reports/quick/curves/parzen_audit.png").stat().st_size > 5000
