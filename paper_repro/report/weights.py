"""Stage ``weights@<run>``: the generator behind a number, small enough for git."""

from paper_repro.core.records import require_model
from paper_repro.core.runs import read_run, weights_path
from paper_repro.core.tensor_file import load_tensors, save_tensors


def weights(key: str) -> None:
    """Write the generator that a run was measured by, or only its record if it was not trained.

    Raises
    ------
    UserError
        If the run is not listed, or its model is absent or damaged.
    """
    run = read_run(key)[1]
    tensors, record = load_tensors(require_model(run))
    prefix = f"{record.get('selected', 'last')}.generator."
    kept = {
        f"generator.{name.removeprefix(prefix)}": tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    save_tensors(weights_path(run), kept, record)
    print(f"weights: {weights_path(run)}: {sum(t.numel() for t in kept.values()):,} parameters")
