"""The recipes that were run, as a table: a column an experiment, a line a hyper-parameter."""

from typing import Any

from paper_repro.report import tables
from paper_repro.report.escaping import Markdown
from paper_repro.report.results import Results

NOISES = {
    "uniform": "uniform on [−√3, √3]",
    "uniform_one": "uniform on [−1, 1]",
    "gaussian": "N(0, 1)",
}
LOSSES = {
    "half_sum": "half the sum of both terms",
    "sum": "the sum of both terms",
    "non_saturating": "−log D(G(z))",
    "minimax": "log(1 − D(G(z)))",
}
KEPT = {"best_validation": "best on validation images", "last": "the last"}


def _size(layer: dict[str, Any]) -> str:
    """Return a layer's kind and size, such as ``maxout 240×5``."""
    name = "ReLU" if layer["layer"] == "relu" else layer["layer"].replace("_", " ")
    size = f"{name} {layer.get('units', layer.get('channels'))}"
    if "pieces" in layer:
        size += f"×{layer['pieces']}"
    if "kernel" in layer:
        size += f", kernel {layer['kernel']}"
    return size


def _weights(layer: dict[str, Any]) -> str:
    """Return what a layer's initial weights are drawn from."""
    init = layer["init"]
    if isinstance(init, str):
        return {"he_normal": "N(0, 2/inputs)", "pretrained": "of phase 1"}[init]
    if "sparse" in init:
        return f"{init['sparse']} a column from N(0, 1)"
    return f"U(±{init['uniform']:g})"


def _bias(layer: dict[str, Any]) -> str:
    if layer["init"] == "pretrained":
        return "of phase 1"
    bias = layer["bias"]
    return bias.replace("_", " ") if isinstance(bias, str) else f"{bias:g}".replace("-", "−")


def _dropout(layer: dict[str, Any]) -> str:
    return f"{layer['keep']:g} × {layer['scale']:g}"


def _list(layers: list[dict[str, Any]], part: Any) -> str:
    """Return what `part` says of every layer; once, if it is the same of all."""
    found = [part(layer) for layer in layers]
    return found[0] if len(set(found)) == 1 else "; ".join(found)


def _optimizer(parameters: dict[str, Any]) -> dict[str, str]:
    adam: dict[str, Any] | None = parameters.get("adam")
    if adam:
        betas = f"β {adam['beta1']:g} and {adam['beta2']:g}, ε {adam['epsilon']:g}"
        return {
            "Learning rate": f"{adam['learning_rate']:g}, Adam",
            "Momentum": betas,
            "Largest column norm": "none",
        }
    sgd: dict[str, Any] = parameters["sgd"]
    momentum = sgd["momentum"]
    return {
        "Learning rate": (
            f"{sgd['learning_rate']:g}, over {sgd['learning_rate_decay']} an update, at least "
            f"{sgd['learning_rate_min']:g}; SGD"
        ),
        "Momentum": (
            f"{momentum['start']:g} to {momentum['end']:g} in epoch {momentum['saturate_epoch']}"
        ),
        "Largest column norm": f"{sgd['max_column_norm'] or 'none'}",
    }


def _lines(parameters: dict[str, Any]) -> dict[str, str]:
    """Return a run's recipe by the names of the table's lines."""
    generator, discriminator = parameters["generator"], parameters["discriminator"]
    parzen = parameters["parzen"]
    images = parzen["sigma_images"]
    return {
        "Noise z": f"{parameters['noise_dimension']}, {NOISES[parameters['noise']]}",
        "G": ", ".join(map(_size, generator)),
        "G, initial weights": _list(generator, _weights),
        "G, initial biases": _list(generator, _bias),
        "D": ", ".join(map(_size, discriminator)),
        "D, initial weights": _list(discriminator, _weights),
        "D, initial biases": _list(discriminator, _bias),
        "D, inputs kept × scaled": _list(discriminator, _dropout),
        "Loss of D": LOSSES[parameters["discriminator_loss"]],
        "Loss of G": LOSSES[parameters["generator_loss"]],
        "Update": (
            "both at once"
            if parameters["update"] == "simultaneous"
            else f"in turn, k = {parameters['k']}"
        ),
        "Batch": str(parameters["batch_size"]),
        **_optimizer(parameters),
        "Epochs": str(parameters["epochs"]),
        "Epoch reported": KEPT[parameters["selection"]],
        "Precision of products": parameters["precision"],
        "Parzen estimate": (
            f"{parzen['samples']:,} samples; {parzen['sigma_points']} σ from "
            f"{10 ** parzen['sigma_log10_min']:g} to {10 ** parzen['sigma_log10_max']:g}, on "
            f"{'all' if images is None else f'{images:,}'} validation images"
        ),
    }


def hyperparameters(results: Results) -> Markdown:
    """Return the recipes of the experiments that were run, by what the runs recorded."""
    recipes = {
        row.experiment: _lines(results.inputs[row.seeds[0].run].parameters)
        for row in results.rows
        if row.seeds
    }
    lines = next(iter(recipes.values()), {})
    return tables.markdown(
        {"Hyper-parameter": line} | {name: recipe[line] for name, recipe in recipes.items()}
        for line in lines
    )
