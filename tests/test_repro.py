"""What a repro shows while it runs, and with what it ends."""

import sys
from types import SimpleNamespace

import pytest

from paper_repro.forecast import repro as reproing
from paper_repro.forecast.repro import Progress
from paper_repro.report import ending
from paper_repro.report.results import Results
from tests.test_release import row

DVC = """\
Running stage 'data/dvc.yaml:fetch':
> python -m paper_repro fetch
fetch: MNIST: official bytes

Stage 'profiles/quick/dvc.yaml:prepare@quick-mnist' didn't change, skipping
Running stage 'profiles/quick/dvc.yaml:train@quick-mnist-0':
> python -m paper_repro train quick-mnist-0
Updating lock file 'profiles/quick/dvc.lock'

Running stage 'profiles/quick/dvc.yaml:evaluate@quick-mnist-0':
quick-mnist-0: 35.9 nats

To track the changes with git, run:

\tgit add profiles/quick/dvc.lock
Use `dvc push` to send your updates to remote storage.
"""


@pytest.mark.parametrize("rewrite", [False, True])
def test_progress_counts_stages_and_leaves_out_advice(monkeypatch, capsys, rewrite):
    times = iter(range(0, 10_000, 10))  # of a clock that goes on whenever it is read
    monkeypatch.setattr(reproing.time, "monotonic", lambda: next(times))
    progress = Progress(4, {"train@quick-mnist-0": 120.0}, rewrite=rewrite)
    for line in DVC.splitlines():
        progress.see(line)
    progress.end()
    again, end = ("\r\x1b[K", "") if rewrite else ("", "\n")
    assert capsys.readouterr().out == (
        f"{again}1/4 fetch, about 2.2 min left{end}"  # 120 s of training, 3 stages of 5 s
        f"{again}fetch: MNIST: official bytes\n"
        f"{again}3/4 train quick-mnist-0, about 2.2 min left\n"  # its bar is on the next line
        f"{again}4/4 evaluate quick-mnist-0, about 10 s left{end}{again}"  # as the first took
    )


@pytest.fixture
def dvc(monkeypatch):
    """Call with the code of a program that is run as DVC."""
    monkeypatch.setattr(reproing, "plan", lambda profile: {})
    monkeypatch.setattr(reproing, "needed_stages", lambda target: {"fetch"})
    monkeypatch.setattr(ending, "ending", lambda profile: print(f"the end of {profile}"))
    return lambda code: monkeypatch.setattr(reproing, "DVC", [sys.executable, "-c", code])


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_lines_are_plain_where_no_terminal_rewrites_them(variable, dvc, monkeypatch, capsys):
    for name, value in ({"TERM": "xterm"} | variable).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: bool(variable))
    dvc(f"print({DVC!r})")
    reproing.repro("quick")
    said = capsys.readouterr().out
    assert "\r" not in said
    assert said.endswith("the end of quick\n")


def test_what_dvc_could_not_do_ends_with_its_exit_code_and_no_numbers(dvc, capfd):
    dvc("import sys; sys.exit('ERROR: a stage failed') if sys.argv[1:] else 0")
    with pytest.raises(SystemExit, match="1"):
        reproing.repro("quick", allow_missing=True)
    assert capfd.readouterr() == ("", "ERROR: a stage failed\n")


def results(monkeypatch, *lines):
    """A profile's results, of one run an experiment, that compare with the release like that."""
    found = [
        SimpleNamespace(name=f"paper-x{i}-0", released=100.0 - gap, kind=kind, difference=gap)
        for i, (kind, gap) in enumerate(lines)
    ]
    monkeypatch.setattr(ending, "compared", lambda profile, rows: found)
    rows = [row([100.0], f"x{i}") for i, _ in enumerate(lines)]
    return Results.model_construct(profile="paper", rows=rows)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([("same", 0.0), ("same", 0.01)], "All 2 numbers agree with the release, 1 to the last"),
        ([("within the spread", 5.0)], "All 1 numbers agree with the release, 0 to the last"),
        (
            [("same", 0.0), ("outside the spread", 9.0), ("differs", 9.0)],
            "1 of 3 numbers agree with the release; they differ for x1, x2.",
        ),
        ([("another number", 1.0)], "0 of 1 numbers agree with the release."),
        ([("no counterpart", 0.0)], "The release has no number of these data and recipes."),
    ],
)
def test_the_last_line_says_whether_the_numbers_agree(lines, said, monkeypatch):
    assert ending.table(results(monkeypatch, *lines))[-1].startswith(said)


def test_the_ending_has_ten_lines_and_begins_with_what_differs(monkeypatch):
    made = results(monkeypatch, *[("same", 0.0)] * 11, ("outside the spread", -50.0))
    head, first, *_, last = text = ending.table(made)
    assert len(text) == 10
    assert head.split() == ["experiment", "nats", "release"]
    assert first.split() == ["x11", "100.0", "150.0", "outside", "the", "spread"]
    assert last.endswith("they differ for x11 (4 more are in the report).")
