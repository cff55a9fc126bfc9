"""Stage ``figure1``: figure 1 of the paper, from a real adversarial run in one dimension.

D dashed blue, p_data dotted black, p_g solid green; below, z is sampled uniformly from the lower
line, and the arrows show x = G(z). (a) after some steps of Algorithm 1; (b) after D alone was
trained, which brings it to D* = p_data / (p_data + p_g); (c) after steps of G alone; (d) after many
steps of Algorithm 1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter

from paper_repro.core.params import read_params
from paper_repro.core.records import Closed, Sealed, write_record
from paper_repro.figures.canvas import Axes, ConnectionPatch, Line2D, drawing
from paper_repro.theory import settings
from paper_repro.theory.density import Array, density, integral, points, total_variation
from paper_repro.theory.optimal import optimal_discriminator
from paper_repro.theory.toy import Game, apply, generator_density, probabilities

SUPPORT = 0.01  # D is compared with D* where p_data + p_g exceeds this: elsewhere V hardly sees it
SHOWN = 0.02  # the x axis ends where p_data and all p_g have fallen to this part of the peak
ARROWS = 17
LINE_X, LINE_Z = -0.1, -0.62  # heights of the two lines below the curves
CAPTIONS = {
    "a": "early: G is off,\nD partly accurate",
    "b": r"D trained for this G:" + "\n" + r"$D \to D^* = p_{data}/(p_{data}+p_g)$",
    "c": "after updates of G,\nwhich follow D's gradient",
    "d": "after many steps:\n" + r"$p_g \approx p_{data}$, $D \approx \frac{1}{2}$",
}


class Panel(Closed):
    """One panel of figure 1."""

    panel: str
    discriminator_steps: int
    generator_steps: int
    value: float
    total_variation: float
    deviation_from_optimal_d: float
    deviation_from_half: float
    mean_d_on_data: float
    mean_d_on_samples: float
    mean_of_p_g: float


class Figure1(Sealed):
    """``figure1.json``."""

    panels: Annotated[list[Panel], Field(min_length=1)]
    arrows: dict[str, list[float]]
    support: float
    settings: dict[str, Any]


FIGURE1 = TypeAdapter(Figure1)


@dataclass(frozen=True)
class State:
    """One state of the two networks."""

    name: str
    discriminator_steps: int
    generator_steps: int
    value: float  # V(D, G), nats
    p_g: Array  # (n,) on the grid
    d: Array  # (n,) on the grid
    image: Array  # (ARROWS,) G of the equally spaced z


def arrow_feet() -> Array:
    """Return the z at which arrows start: the middles of equal parts of [0, 1]."""
    return (np.arange(ARROWS) + 0.5) / ARROWS


def _panel(name: str, game: Game, x: Array) -> State:
    return State(
        name,
        game.discriminator_steps,
        game.generator_steps,
        game.value(x),
        generator_density(game.generator, x),
        probabilities(game.discriminator, x),
        apply(game.generator, arrow_feet()),
    )


def play(chosen: settings.Figure1) -> list[State]:
    """Return the four states of one run, (a) to (d)."""
    game, x = Game(chosen), points(chosen.grid)
    for _ in range(chosen.steps_a):
        game.step()
    panels = [_panel("a", game, x)]
    for i in range(chosen.discriminator_steps_b):
        game.step_discriminator(1 - i / chosen.discriminator_steps_b)
    panels.append(_panel("b", game, x))
    for _ in range(chosen.generator_steps_c):
        game.step_generator()
    panels.append(_panel("c", game, x))
    for i in range(chosen.steps_d):
        # At a constant rate the pair goes on moving around its equilibrium.
        game.step(1 - i / chosen.steps_d)
    panels.append(_panel("d", game, x))
    return panels


def measures(panel: State, p_data: Array, x: Array) -> dict[str, Any]:
    """Return a panel's numbers: its steps, V, the distance of p_g and D's distances."""
    supported = p_data + panel.p_g > SUPPORT
    optimal = optimal_discriminator(p_data, panel.p_g)
    return {
        "panel": panel.name,
        "discriminator_steps": panel.discriminator_steps,
        "generator_steps": panel.generator_steps,
        "value": panel.value,
        "total_variation": total_variation(p_data, panel.p_g, x),
        "deviation_from_optimal_d": float(np.abs(panel.d - optimal)[supported].max()),
        "deviation_from_half": float(np.abs(panel.d - 0.5)[supported].max()),
        "mean_d_on_data": integral(p_data * panel.d, x),
        "mean_d_on_samples": integral(panel.p_g * panel.d, x),
        "mean_of_p_g": integral(x * panel.p_g, x),
    }


def _draw(axes: Axes, panel: State, p_data: Array, x: Array, left: float, right: float) -> None:
    inside = (x >= left) & (x <= right)
    axes.plot(x[inside], panel.d[inside], color="blue", linestyle=(0, (5, 2.5)))
    axes.plot(x[inside], p_data[inside], color="black", linestyle=(0, (1, 1.4)))
    axes.plot(x[inside], panel.p_g[inside], color="green")
    for height, name in ((LINE_X, "x"), (LINE_Z, "z")):
        axes.plot([left, right], [height, height], color="black", linewidth=1)
        axes.text(left - 0.03 * (right - left), height, f"${name}$", ha="right", va="center")
    feet = left + (right - left) * arrow_feet()
    for foot, head in zip(feet, panel.image, strict=True):
        if left <= head <= right:
            axes.add_patch(
                ConnectionPatch(
                    (foot, LINE_Z),
                    (head, LINE_X),
                    "data",
                    arrowstyle="-|>,head_length=0.35,head_width=0.13",
                    mutation_scale=9,
                    linewidth=0.6,
                    color="black",
                    shrinkA=0,
                    shrinkB=0,
                )
            )
    axes.set(xlim=(left, right))
    axes.set_axis_off()
    axes.set_title(f"({panel.name})", y=-0.1)
    axes.text(0.5, -0.13, CAPTIONS[panel.name], transform=axes.transAxes, ha="center", va="top")


def draw(panels: list[State], p_data: Array, x: Array, path: Path) -> None:
    """Draw the four panels side by side.

    Parameters
    ----------
    p_data, x : (n,) the data's density at the grid's points.
    """
    highest = np.max([p_data, *(panel.p_g for panel in panels)], axis=0)  # (n,)
    shown = x[highest > SHOWN * highest.max()]
    with drawing(path, 9, 3.6) as figure:
        rows = figure.subplots(1, len(panels), sharey=True)
        for axes, panel in zip(rows, panels, strict=True):
            _draw(axes, panel, p_data, x, shown[0], shown[-1])
        rows[0].set_ylim(LINE_Z - 0.05, 1.05 * max(1.0, float(highest.max())))
        figure.legend(
            handles=[
                Line2D([], [], color="blue", linestyle=(0, (5, 2.5)), label="$D(x)$"),
                Line2D([], [], color="black", linestyle=(0, (1, 1.4)), label="$p_{data}(x)$"),
                Line2D([], [], color="green", label="$p_g(x)$"),
            ],
            loc="outside upper center",
            ncols=3,
        )


def figure1(profile: str) -> None:
    """Run the game, draw figure 1 and write its numbers (`UserError` on bad settings)."""
    chosen = read_params(profile).parse(settings.Figure1, "theory", "figure1")
    x = points(chosen.grid)
    p_data = density(chosen.p_data, x)
    panels = play(chosen)
    folder = Path("reports", profile)
    draw(panels, p_data, x, folder / "figure1.png")
    write_record(
        folder / "figure1.json",
        {
            "panels": [measures(panel, p_data, x) for panel in panels],
            "arrows": {"z": arrow_feet().tolist()}
            | {panel.name: panel.image.tolist() for panel in panels},
            "support": SUPPORT,
            "settings": chosen.model_dump(mode="json"),
        },
        folder / "figure1.png",
    )
