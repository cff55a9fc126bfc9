"""A trained run's generator as a sampler."""

from pathlib import Path
from typing import Any

from paper_repro import config
from paper_repro.errors import UserError
from paper_repro.evaluation.sampler import GeneratorSampler
from paper_repro.models.networks import Network
from paper_repro.models.storage import load_tensors, model_path, read_record


def read_run_record(run: config.Run) -> dict[str, Any]:
    """Return what training wrote into the run's model file (`UserError` if it is damaged)."""
    return read_record(model_path(run.key))


def load_sampler(run: config.Run, experiment: config.Experiment, epoch: str) -> GeneratorSampler:
    """Return the generator of the run's ``best`` or ``last`` epoch, on the CPU.

    Raises
    ------
    UserError
        As `load_generator`.
    """
    network = load_generator(model_path(run.key), f"{epoch}.", run, experiment)
    return GeneratorSampler(network, experiment)


def load_generator(
    path: Path, prefix: str, run: config.Run, experiment: config.Experiment
) -> Network:
    """Return a run's generator from a file, where its names begin with ``<prefix>generator.``.

    Raises
    ------
    UserError
        If the file is absent or damaged, or holds another network than the parameters describe.
    """
    tensors, _ = load_tensors(path, f"{prefix}generator.")
    network = Network((experiment.noise_dimension,), experiment.generator)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise UserError(
            f"{path}: not the network of experiments.{run.experiment}.generator ({first}); "
            "run `dvc repro` to train it"
        ) from None
    return network
