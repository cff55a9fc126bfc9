"""How long a run's training will take on this device."""

import statistics
import time

import torch

from paper_repro import config, provenance
from paper_repro.data.dataset import processed_folder, read_dataset
from paper_repro.models.storage import read_record
from paper_repro.training.checkpoint import checkpoint_file
from paper_repro.training.loop import new_trainer, resolve_device

TIMED_UPDATES = 20


def updates_left(run: config.Run, experiment: config.Experiment, n_train: int) -> int:
    """Return how many updates a run still needs, counting on its checkpoint.

    Parameters
    ----------
    n_train : images of the training set, where it is not prepared yet.
    """
    checkpoint = None
    if (processed_folder(run.profile, run.dataset) / "dataset.json").is_file():
        dataset = read_dataset(run.profile, run.dataset)
        if dataset.ok:
            n_train = dataset.counts["train"]
            code = provenance.code_digest("paper_repro.training.train")
            device = resolve_device(experiment.device)
            checkpoint = checkpoint_file(run, experiment, dataset, device, code).path
    total = experiment.epochs * config.updates_per_epoch(experiment, n_train)
    done = read_record(checkpoint)["update"] if checkpoint and checkpoint.is_file() else 0
    return max(total - int(done), 0)


def seconds_per_update(experiment: config.Experiment, device: torch.device) -> float:
    """Return the median time of a few updates of an experiment's networks, on random images."""
    images = torch.rand(experiment.batch_size * experiment.k, experiment.generator[-1].units)
    trainer = new_trainer(experiment, images, 0, device)
    images = images.to(device)
    times = []
    for _ in range(3 + TIMED_UPDATES):
        started = time.perf_counter()
        diagnostics, _ = trainer.update(images, 1e-6, 0.5)
        float(diagnostics[0])  # waits for the device
        times.append(time.perf_counter() - started)
    return statistics.median(times[3:])
