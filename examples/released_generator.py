"""Draw digits from a released generator, walk between pairs of them, score them, save a picture.

In the repository's folder, after `paper_repro fetch` and `paper_repro prepare paper mnist`:

    python examples/released_generator.py
"""

import argparse

import numpy as np
import numpy.typing as npt
import torch
from torchvision.utils import save_image

from paper_repro import Generator, load, score


def interpolated(generator: Generator, lines: int, steps: int) -> npt.NDArray[np.float32]:
    """Return G along straight lines in z, as in the paper's figure 3, (lines * steps, 784)."""
    start, end = np.split(generator.noise(2 * lines, seed=1), 2)  # (lines, 100) each
    part = np.linspace(0, 1, steps)[:, None]  # (steps, 1)
    z = (1 - part) * start[:, None] + part * end[:, None]  # (lines, steps, 100)
    return generator(z.reshape(lines * steps, -1))


def main() -> None:
    """Do it all for the run that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="paper-mnist-4")
    parser.add_argument("--picture", default="samples.png")
    options = parser.parse_args()

    generator = load(options.run)
    images = generator.sample(10_000, seed=generator.seed)  # (10000, 784) in [0, 1]
    rows = np.concatenate([images[:100], interpolated(generator, lines=5, steps=20)])
    save_image(torch.from_numpy(rows).view(-1, 1, 28, 28), options.picture, nrow=20)
    print(f"{options.picture}: five rows of samples, then five lines in z")

    found = score(images, "mnist")
    print(f"{generator.name}: {found.grids['default']['test_mean']:.1f} nats\n\n{found}")


if __name__ == "__main__":
    main()
