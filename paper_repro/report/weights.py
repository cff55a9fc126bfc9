"""Stage ``weights@<run>``: the generator behind a number, small enough for git.

In half precision: that moves the log-likelihood by some thousandths of a nat.
"""

from typing import Any

from paper_repro.core.records import read_training, require_model, write_record
from paper_repro.core.runs import read_run, weights_path
from paper_repro.core.tensor_file import load_tensors, save_tensors
from paper_repro.pipeline.presentation import presentation, reported


def weights(key: str) -> None:
    """Write the generator that a run's number is of, or only a record if it was not trained.

    Raises
    ------
    UserError
        If the run is not listed, or its model is absent or damaged.
    """
    params, run = read_run(key)
    trained, path = read_training(run), weights_path(run)
    tensors, record = load_tensors(require_model(run))
    kept, told = {}, dict[str, Any](trained)
    if trained["status"] == "ok":
        which, epoch = reported(presentation(params), run, trained)
        prefix = f"{which}.generator."
        kept = {
            f"generator.{name.removeprefix(prefix)}": tensor.half()
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
        count = sum(tensor.numel() for tensor in kept.values())
        told = {"status": "ok", "epoch": epoch, "parameters": count}
    save_tensors(path, kept, record)
    write_record(path.with_suffix(".json"), told, path)
    print(f"weights: {path}: {told.get('parameters', 0):,} parameters")
