"""Small experiments of the paper's form, so that tests run in seconds."""

from paper_repro import config


def small_values(params, **changes):
    """Return the MNIST experiment with narrow layers, a small batch and any other changes."""
    values = config.experiment(params, "paper", "mnist").model_dump(mode="json")
    values |= {"noise_dimension": 7, "batch_size": 10, "epochs": 2, "validate_every": 1}
    values["parzen"] |= {"samples": 50, "sigma_images": 20}
    for player, widths in (("generator", (13, 11, 20)), ("discriminator", (6, 4, 1))):
        for layer, units in zip(values[player], widths, strict=True):
            layer["units"] = units
            layer["init"]["uniform"] = 0.2
    return values | changes


def small_experiment(params, **changes):
    """Return `small_values` as an experiment."""
    return config.parse_experiment(small_values(params, **changes))
