"""``TFD_48x48.mat``: what is taken, what is refused, and what damage does.

Most is tested within this process; damage in one of its own, as it is in use.
"""

import io
import re

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_repro.core.errors import UserError
from paper_repro.data import tfd
from paper_repro.data.prepare import split_tfd
from paper_repro.data.tfd import Tfd, parse_tfd, read_tfd, structure_problem

N, LABELLED = 16, 6


def small_variables():
    draw = np.random.default_rng(0)
    folds = np.zeros((N, 5), np.uint8)
    for fold in range(5):
        folds[:LABELLED, fold] = draw.permutation([1, 1, 1, 2, 3, 3])
    return {"images": draw.integers(0, 256, (N, 48, 48), np.uint8), "folds": folds}


VARIABLES = small_variables()


def mat(compressed=True, **changed):
    packed = io.BytesIO()
    values = {name: value for name, value in (VARIABLES | changed).items() if value is not None}
    scipy.io.savemat(packed, values, do_compression=compressed)
    return packed.getvalue()


def read(content, name="some-file"):
    return read_tfd(io.BytesIO(content), name)


def error(content, read=read):
    with pytest.raises(UserError) as caught:
        read(content, "some-file")
    assert re.fullmatch("some-file: .*", str(caught.value))
    return str(caught.value)


def same(content, read=read):
    found = read(content, "some-file")
    assert found.images.dtype == found.folds.dtype == np.uint8
    assert found.images.flags.c_contiguous
    assert np.array_equal(found.images, VARIABLES["images"])
    assert np.array_equal(found.folds, VARIABLES["folds"])


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
def test_it_reads_whole_numbers_of_any_type(compressed, kind):
    same(mat(compressed, images=VARIABLES["images"].astype(kind)))


def test_a_process_of_its_own_reads_the_same():
    same(mat(), parse_tfd)


@pytest.mark.parametrize("compressed", [True, False])
def test_images_may_be_last_and_other_variables_are_passed_over(compressed):
    images = VARIABLES["images"].transpose(1, 2, 0)
    others = {"a": "text", "b": {"field": np.arange(3)}, "labs_ex": np.array([1, "x"], object)}
    same(mat(compressed, images=images, **others, d=np.eye(3) * 1j))


def test_parts_are_those_of_the_fold():
    parts = split_tfd(*read(mat())).parts
    images, folds = VARIABLES["images"], VARIABLES["folds"]
    assert np.array_equal(parts["train"], images[LABELLED:])
    for fold in range(5):
        assert np.array_equal(parts[f"valid{fold + 1}"], images[folds[:, fold] == 2])
        assert np.array_equal(parts[f"test{fold + 1}"], images[folds[:, fold] == 3])


def test_counts_that_are_not_the_official_ones_are_told():
    message = structure_problem(read(mat()))
    assert message.startswith("16 images, 10 unlabelled and 6 labelled, instead of 102,236, ")
    folds = np.zeros((102_236, 5), np.uint8)
    folds[:4_178] = 1
    images = np.broadcast_to(np.uint8(0), (102_236, 48, 48))
    assert structure_problem(Tfd(images, folds)) is None
    folds[0] = 0
    assert "98,059 unlabelled and 4,177 labelled" in structure_problem(Tfd(images, folds))


def put(name, index, value, kind=None):
    array = VARIABLES[name].astype(kind or VARIABLES[name].dtype)
    array[index] = value
    return {name: array}


def folds_without(code):
    folds = VARIABLES["folds"].copy()
    folds[:, 3][folds[:, 3] == code] = 1 if code != 1 else 2
    return {"folds": folds}


IMAGES = VARIABLES["images"]
PIXELS = "expected whole numbers from 0 to 255"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": None}, "lacks images;"),
        ({"images": None, "folds": None}, "lacks images, folds;"),
        ({"images": IMAGES * 1j}, "images: must be a full array of real numbers"),
        ({"folds": scipy.sparse.csc_array(VARIABLES["folds"])}, "folds: must be a full array"),
        ({"folds": np.array([1, "x"], object)}, "folds: must be a full array"),
        ({"images": IMAGES[:, :47]}, "images: shape 16 x 47 x 48, expected N x 48 x 48"),
        ({"images": IMAGES[..., None]}, "images: shape 16 x 48 x 48 x 1"),
        ({"images": IMAGES[:0]}, "images: shape 0 x 48 x 48"),
        ({"images": IMAGES[:9]}, "folds: shape 16 x 5, expected 9 x 5"),
        (put("images", 3, np.nan, "f8"), f"images: holds NaN; {PIXELS}"),
        (put("images", 3, np.inf, "f8"), f"to inf; {PIXELS}"),
        (put("images", 3, 0.5, "f4"), f"values from 0 to 255 with fractions; {PIXELS}"),
        (put("images", 3, -1, "i2"), f"values from -1 to 255; {PIXELS}"),
        (put("images", 3, 256, "f8"), f"values from 0 to 256; {PIXELS}"),
        (put("images", 3, 2**64 - 1, "u8"), f"values from 0 to 1.84467e+19; {PIXELS}"),
        ({"images": IMAGES / 255}, "images: scaled to values from 0 to 1; expected whole"),
        ({"folds": VARIABLES["folds"].T}, "folds: shape 5 x 16, expected 16 x 5"),
        (put("folds", 3, 4), "folds: values from 0 to 4; expected whole numbers from 0 to 3"),
        (put("folds", 3, -1, "i1"), "folds: values from -1 to 3"),
        (put("folds", (2, 4), 0), "folds: row 3: unlabelled in some folds, not in all"),
        (put("folds", (8, 4), 1), "folds: row 9: unlabelled in some folds, not in all"),
        (put("folds", slice(LABELLED, None), 1), "folds: no image is unlabelled"),
        (folds_without(1), "folds: column 4: no training image (code 1)"),
        (folds_without(2), "folds: column 4: no validation image (code 2)"),
        (folds_without(3), "folds: column 4: no test image (code 3)"),
    ],
)
def test_a_bad_variable_is_refused(changed, message):
    assert message in error(mat(**changed))


def test_more_images_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(tfd, "LARGEST", N - 1)
    assert "images: shape 16 x 48 x 48, expected 15 images at most" in error(mat())


HDF5 = r"MATLAB 7\.3 \(HDF5\) file; convert it in MATLAB: .*'-v7'"
LEVEL_4 = io.BytesIO()
scipy.io.savemat(LEVEL_4, {"folds": VARIABLES["folds"]}, format="4")
OTHERS = (b"", bytes(500), b"text" * 100, LEVEL_4.getvalue(), mat()[:127], b"\0" + mat()[1:])
PLAIN, COMPRESSED = mat(compressed=False), mat()
DAMAGED = (PLAIN[:-1], PLAIN[:130], COMPRESSED[:-40], COMPRESSED[:-1] + bytes([COMPRESSED[-1] ^ 1]))
TYPE = PLAIN.index(b"folds") + 8  # of the values' type, a number that scipy's C code trusts
CRASHING = [
    PLAIN[:TYPE] + kind.to_bytes(2, "little") + PLAIN[TYPE + 2 :] for kind in (200, 0xFF00, 0xFFFF)
]


@pytest.mark.parametrize(
    ("content", "message", "read"),
    [
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM", HDF5, read),
        (tfd.HDF5 + bytes(200), HDF5, read),
        (bytes(512) + tfd.HDF5 + bytes(200), HDF5, read),
        *((content, "not a MATLAB file of level 5", read) for content in OTHERS),
        *((content, r"damaged or truncated MATLAB file \(", read) for content in DAMAGED),
        *((content, r"damaged or truncated MATLAB file \(", parse_tfd) for content in CRASHING),
    ],
)
def test_other_formats_and_damaged_files_are_one_line(content, message, read):
    assert re.search(message, error(content, read))


def outcome(content, read):
    """Check that bytes are a valid result or an error of one line."""
    try:
        images, folds = read(content, "fuzz")
    except UserError as caught:
        message = str(caught)
    else:
        message = "fuzz: no error"
        assert images.shape == (len(folds), 48, 48)
        assert folds.shape[1:] == (5,)
        assert folds.max() <= 3
        assert len(split_tfd(images, folds).parts["train"])
    assert re.fullmatch("fuzz: .*", message)


HEADS = [  # where what is not a value lies: the file's header, and the bytes before the values
    position
    for name in VARIABLES
    for position in range(PLAIN.index(name.encode()) - 48, PLAIN.index(name.encode()) + 24)
] + list(range(128))


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(
    st.one_of(
        st.tuples(st.just(PLAIN), st.sampled_from(HEADS)),
        st.sampled_from([PLAIN, COMPRESSED]).flatmap(
            lambda content: st.tuples(st.just(content), st.integers(0, len(content)))
        ),
    ),
    st.sampled_from(["flip", "cut", "insert", "pad"]),
    st.binary(min_size=1, max_size=8),
)
def test_any_damage_is_an_error_or_harmless(place, how, new):
    content, position = place
    before, after = content[:position], content[position:]
    damaged = {
        "flip": before + new + after[len(new) :],
        "cut": before,
        "insert": before + new + after,
        "pad": content + new,
    }
    outcome(damaged[how], parse_tfd)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["f4", "f8", "u8", "i8"]),
    st.binary(min_size=8, max_size=8),
    st.sampled_from(["folds", "images"]),
)
def test_any_number_is_an_error_or_harmless(kind, raw, name):
    """Signalling NaNs and the like must not be warnings."""
    array = VARIABLES[name].astype(kind)
    array.reshape(-1)[1] = np.frombuffer(raw, kind)[0]
    outcome(mat(compressed=False, **{name: array}), read)
