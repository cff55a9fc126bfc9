"""A trained run: what training recorded of it, its data set, and its generator as a sampler."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper_repro import config
from paper_repro.data.dataset import Dataset, read_dataset
from paper_repro.errors import UserError
from paper_repro.evaluation.sampler import GeneratorSampler
from paper_repro.models.networks import Network
from paper_repro.models.storage import load_tensors, model_path, read_record


@dataclass(frozen=True)
class TrainedRun:
    """A run as training left it."""

    run: config.Run
    experiment: config.Experiment
    record: dict[str, Any]  # status; then the epochs that count, or the reason why there are none

    @property
    def ok(self) -> bool:
        """Whether there is a model: the run was trained, and did not diverge."""
        return bool(self.record["status"] == "ok")

    @property
    def why_not(self) -> str:
        """Why there is no model, in a line."""
        return f"{self.record['status']}: {self.record['reason']}"

    def dataset(self) -> Dataset:
        """Return the data set that the run was trained on (`UserError` as `read_dataset`)."""
        return read_dataset(self.run.profile, self.run.dataset)

    def sampler(self, epoch: str | None = None) -> GeneratorSampler:
        """Return the generator of the ``best`` or ``last`` epoch, on the CPU.

        Without a name: of the epoch that the experiment's result is measured at.

        Raises
        ------
        UserError
            As `load_generator`.
        """
        prefix = f"{epoch or self.record['selected']}."
        network = load_generator(model_path(self.run.key), prefix, self.run, self.experiment)
        return GeneratorSampler(network, self.experiment)


def read_trained_run(key: str) -> TrainedRun:
    """Return a run by its key (`UserError` on bad parameters, or if its model file is damaged)."""
    params = config.read_params()
    run = config.run(params, key)
    experiment = config.experiment(params, run.profile, run.experiment)
    return TrainedRun(run, experiment, read_record(model_path(key)))


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
