"""Text from anywhere as itself in Markdown and in LaTeX; in HTML it is so by Jinja's autoescape."""

import re

# What has a meaning in GitHub's Markdown. Left alone is what has none where it stands: `_` within a
# word, `*` at a word's end, `<` before a space, brackets that make no link.
MARKUP = re.compile(
    r"[\\`~$]"
    r"|(?<![^\W_])[*_]"
    r"|\*(?! |\||$)|_(?![^\W_])"
    r"|\](?=[(\[:])"
    r"|<(?! |$)"
    r"|&(?=#?\w+;)"
)
ENTITIES = {"<": "&lt;", "&": "&amp;"}  # so that no text holds a comment's "<!--"

# Without "\{" and "\}", which BibTeX counts as braces.
COMMANDS = {
    **{sign: f"\\{sign}" for sign in "_&%#$"},
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "-": "-{}",  # before another, with which it would make a dash
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "σ": r"$\sigma$",
}
SPECIAL = re.compile(rf"-(?=-)|[{re.escape(''.join(COMMANDS.keys() - {'-'}))}]")


class Markdown(str):
    """Text that is in Markdown already."""

    __slots__ = ()


def markdown(value: object) -> Markdown:
    """Return a value as text within a line of Markdown; what is Markdown already as it is."""
    if isinstance(value, Markdown):
        return value
    line = " ".join(str(value).splitlines())
    return Markdown(MARKUP.sub(lambda found: ENTITIES.get(found[0], f"\\{found[0]}"), line))


def code(name: object) -> Markdown:
    """Return the name of a run, an experiment or a key as code in Markdown."""
    return Markdown(f"`{name}`")


def latex(text: str) -> str:
    """Return text as LaTeX and BibTeX take it: one line, the signs of our numbers in ASCII."""
    line = "".join(sign for sign in " ".join(text.split()) if sign.isprintable())
    return SPECIAL.sub(lambda found: COMMANDS[found[0]], line)
