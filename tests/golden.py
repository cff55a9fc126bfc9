"""Golden computations: each stage of a run, of each experiment, in small, and the outputs' hashes.

    python <this file> [experiment ...]    in the root of a checkout, with its package on the path

trains all recipes of ``params.yaml`` with the paper's own networks for 20 updates (two where a
layer has 8,000 units) on random images, measures and draws them, trains the run `quick-mnist-0`
whole, and draws the first samples of every published model; named experiments it only trains and
evaluates. It writes into the checkout, of whatever commit, and prints as JSON the kind of machine
and the SHA-256 of each output, by path. `tests/carry.py` compares two commits by it, and keeps in
``golden.json`` what they give on each kind of machine.
"""

import contextlib
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

PROFILE = "golden"
SMALL = {"samples": 200, "sigma_images": 50}
GRID = {"sigma_log10_min": -1.0, "sigma_log10_max": 0.0, "sigma_points": 10}
THINNED = {"chains": 10, "burn_in": 5, "thinning": 2}
CHAINS = ("dbn", "stacked_cae", "deep_gsn")
# Images of each part: 20 updates of MNIST's batches, two of the others'.
COUNTS = {"mnist": (2000, 60, 50), "tfd": (200, 60, 50), "cifar10": (256, 60, 50)}
SHAPES = {"mnist": (28, 28), "tfd": (48, 48), "cifar10": (3, 32, 32)}
# Stages by what must come before what; those of no run, such as figure 1's, can always run again.
STAGES = (
    *(
        "train",
        "weights",
        "walk",
        "evaluate",
        "figure2",
        "figure3",
        "sample_checks",
        "parzen_audit",
    ),
    *("sheet", "sample_sets", "mixing"),
)


def load(path):
    return YAML(typ="safe").load(Path(path).read_text(encoding="utf-8"))


def kind():
    """Return what bytes depend on besides the code: the machine and its libraries."""
    import torch

    from paper_repro.core.provenance import hardware

    here = hardware(torch.device("cpu"))
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{here['device']}, {capability}, {here['threads']} threads, torch {torch.__version__}"


def write_profile(chosen):
    """Write the profile's parameters, laid over the checkout's own."""
    paper = load("params.yaml")
    experiments = {
        name: {"epochs": 1, "validate_every": 1, "parzen": SMALL}
        for name in chosen or paper["experiments"]
    }
    seeds = {name: [0] for name in sorted(experiments, key=lambda name: name == "tfd")}
    published = [f"{PROFILE}-{name}-0" for name in ("mnist", *CHAINS)]
    content = {
        "seeds": seeds,
        "experiments": experiments,
        "data": {
            name: dict(zip(("train", "valid", "test"), counts, strict=True))
            for name, counts in COUNTS.items()
        },
        "measure": {
            **dict.fromkeys(COUNTS, SMALL | GRID),
            **{name: SMALL | GRID | {"thinned": THINNED} for name in CHAINS},
        },
        "mixing": {"chains": 4, "draws": 40, "thinning": [1, 2], "ensemble": 10, "steps": 10},
        "parzen_audit": {
            "samples": [20, 200],
            "draws": 2,
            "fine_sigma_points": 19,
            "mixture_components": 4,
            "kmeans_centroids": 30,
            "kmeans_iterations": 2,
            "mixture_iterations": 2,
        },
        "theory": {"figure1": {}},
        "presentation": {
            "diagnosed": ["mnist"],
            "mixing": ["mnist", *CHAINS],
            "published": published,
            "protocol": {},
        },
    }
    if "walk" in load("dvc.yaml")["stages"]:
        content["measure"]["stacked_cae"]["walk"] = {"chains": 3, "stds": [0.3, 1.0]}
    if chosen:
        content["presentation"] = {"diagnosed": []}
    elif "sheet" in load("dvc.yaml")["stages"]:
        content["presentation"]["checked"] = ["mnist_notebook"]
    folder = Path("profiles", PROFILE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(json.dumps(content))


def write_data():
    """Write random images as the prepared data sets, the same on every machine."""
    for name, counts in COUNTS.items():
        draw = np.random.default_rng(0)
        parts = dict(zip(("train", "valid", "test"), counts, strict=True))
        if name == "tfd":
            folds = {
                f"{part}{fold}": parts[part] for fold in range(1, 6) for part in ("valid", "test")
            }
            parts = {"train": parts["train"]} | folds
        arrays = {
            part: draw.integers(0, 256, (count, *SHAPES[name]), np.uint8)
            for part, count in parts.items()
        }
        if name == "cifar10":  # contrast-normalised: of mean 0, about 1
            arrays = {part: (array / 74 - 1.7).astype(np.float32) for part, array in arrays.items()}
        if name == "mnist":
            arrays["labels"] = draw.integers(0, 10, parts["train"], np.uint8)
        folder = Path("data/processed", PROFILE, name)
        folder.mkdir(parents=True, exist_ok=True)
        for part, array in arrays.items():
            np.save(folder / f"{part}.npy", array)
        record = {
            "name": name,
            "status": "ok",
            "reason": None,
            "todo": None,
            "canonical": False,
            "stand_in": None,
            "shape": list(SHAPES[name]),
            "counts": parts,
            "sha256": {part: sha256(folder / f"{part}.npy") for part in arrays},
        }
        (folder / "dataset.json").write_text(json.dumps(record))


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def commands(stages):
    """Yield stages' commands, in their order, for the runs that the pipeline has each for."""
    pipeline = load("dvc.yaml")["stages"]
    listed = load(f"profiles/{PROFILE}/runs.yaml")
    for stage in (stage for stage in stages if stage in pipeline):
        keys = listed[pipeline[stage]["foreach"].strip("${}")]
        words = pipeline[stage]["do"]["cmd"].split()[3:]
        yield from ([word.replace("${key}", key) for word in words] for key in keys)


def quick():
    """Prepare and train the run `quick-mnist-0` on scikit-learn's digits."""
    from paper_repro.__main__ import main

    folder = Path("data/raw/mnist")
    folder.mkdir(parents=True, exist_ok=True)
    absent = {"dataset": "mnist", "status": "not run", "reason": "golden", "todo": "nothing"}
    (folder / "status.json").write_text(json.dumps(absent))
    for words in (["prepare", "quick", "mnist"], ["train", "quick-mnist-0"]):
        assert main(words) == 0, words


def published():
    """Yield the hash of the first samples of each published model, where its images are."""
    from paper_repro.evaluation.trained_run import open_published

    for key in load("params.yaml")["presentation"]["published"]:
        trained = open_published(key)
        samples = trained.sampler().sample(10, 0, "golden")
        yield f"samples of {key}", hashlib.sha256(samples.numpy().tobytes()).hexdigest()


def outputs():
    """Yield what the runs left, all but when and where: path and hash."""
    runs = [Path("reports", PROFILE, "runs"), Path("reports/quick/runs/quick-mnist-0")]
    for path in [
        *(file for folder in runs for file in folder.rglob("*")),
        *Path("models").iterdir(),
    ]:
        if path.is_file():
            yield path.as_posix(), sha256(path)


def golden(chosen=()):
    """Return the hashes of the golden computations of the checkout in the present folder."""
    from paper_repro.__main__ import main

    write_profile(chosen)
    write_data()
    assert main(["runs"]) == 0
    for words in commands(("train", "walk", "evaluate") if chosen else STAGES):
        assert main(words) == 0, words
    if chosen:
        return dict(sorted(outputs()))
    quick()
    found = dict(sorted(outputs()))
    if Path("data/processed/paper/mnist").exists():
        found |= dict(published())
    return found


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        hashes = golden(sys.argv[1:])
        made_on = kind()
    json.dump([made_on, hashes], sys.stdout)
