"""Small experiments of the paper's form, so that tests run in seconds."""

from paper_repro import config


def small_experiment(params, **changes):
    """Return the MNIST experiment with narrow layers, a small batch and any other changes."""
    paper = config.experiment(params, "paper", "mnist").model_dump(mode="json")
    paper |= {"noise_dimension": 7, "batch_size": 10, "epochs": 2, "validate_every": 1}
    for player, widths in (("generator", (13, 11, 20)), ("discriminator", (6, 4, 1))):
        for layer, units in zip(paper[player], widths, strict=True):
            layer["units"] = units
            layer["init"]["uniform"] = 0.2
    paper |= changes
    return config.parse_experiment(paper)
