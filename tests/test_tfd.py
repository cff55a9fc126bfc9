import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_repro.core.errors import UserError
from paper_repro.data import tfd
from paper_repro.data.tfd import Tfd, check_variables, parse_tfd, structure_problem

N, LABELLED = 16, 6


def small_variables():
    draw = np.random.default_rng(0)
    folds = np.zeros((N, 5), np.uint8)
    for fold in range(5):
        folds[:LABELLED, fold] = draw.permutation([1, 1, 1, 2, 3, 3])
    labels = np.full((N, 1), -1, np.int16)
    labels[:LABELLED, 0] = 1 + np.arange(LABELLED)
    return {
        "images": draw.integers(0, 256, (N, 48, 48), np.uint8),
        "labs_ex": labels,
        "labs_id": np.full((N, 1), -1, np.int16),
        "folds": folds,
    }


VARIABLES = small_variables()


def mat(compressed=True, **changed):
    packed = io.BytesIO()
    values = {name: value for name, value in (VARIABLES | changed).items() if value is not None}
    scipy.io.savemat(packed, values, do_compression=compressed)
    return packed.getvalue()


def element(kind, data, order="<"):
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


TYPES = {"u1": (9, 2), "i1": (8, 1), "i2": (10, 3), "f8": (6, 9)}  # of classes and elements


def variable(name, array, order="<", flags=0, size=None, **header):
    """Return a variable, written as the format's description says."""
    cls, kind = TYPES[array.dtype.str[1:]]
    data = array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")
    values = element(header.get("kind", kind), data, order)
    if size is not None:
        values = values[:4] + struct.pack(f"{order}I", size) + values[8:]
    shape = header.get("shape", array.shape)
    parts = [
        element(6, struct.pack(f"{order}II", header.get("cls", cls) | flags, 0), order),
        element(5, struct.pack(f"{order}{len(shape)}i", *shape), order),
        element(1, name.encode(), order),
        values,
    ]
    return element(14, b"".join(parts), order)


def packed(plain):
    data = zlib.compress(plain, 1)
    return struct.pack("<II", 15, len(data)) + data


def file(*elements, order="<"):
    mark, version = {"<": (b"IM", b"\0\1"), ">": (b"MI", b"\1\0")}[order]
    header = b"MATLAB 5.0 MAT-file".ljust(124) + version + mark
    return header + b"".join(elements)


def written(order="<", **changed):
    return [changed.get(k, variable(k, v, order)) for k, v in VARIABLES.items()]


def error(content):
    with pytest.raises(UserError) as caught:
        parse_tfd(content, "some-file")
    message = str(caught.value)
    assert message.startswith("some-file: ")
    assert "\n" not in message
    return message


def same(found):
    assert found.images.dtype == found.folds.dtype == np.uint8
    assert found.images.flags.c_contiguous
    assert np.array_equal(found.images, VARIABLES["images"])
    assert np.array_equal(found.folds, VARIABLES["folds"])


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
def test_it_reads_whole_numbers_of_any_type(compressed, kind):
    same(parse_tfd(mat(compressed, images=VARIABLES["images"].astype(kind)), "x"))


@pytest.mark.parametrize("order", ["<", ">"])
def test_it_reads_both_byte_orders(order):
    content = file(*written(order), order=order)
    same(parse_tfd(content, "x"))
    assert np.array_equal(
        scipy.io.loadmat(io.BytesIO(content))["images"], VARIABLES["images"]
    )  # so that what these tests write is in the format


@pytest.mark.parametrize("compressed", [True, False])
def test_images_may_be_last_and_values_in_a_row(compressed):
    changed = {
        "images": VARIABLES["images"].transpose(1, 2, 0),
        "labs_ex": VARIABLES["labs_ex"].T.astype(float),
        "labs_id": VARIABLES["labs_id"][:, 0],
    }
    same(parse_tfd(mat(compressed, **changed), "x"))


def test_doubles_that_matlab_stores_as_bytes_are_read():
    images = variable("images", VARIABLES["images"], cls=6)
    same(parse_tfd(file(*written(images=images)), "x"))


def test_other_variables_are_passed_over():
    others = {
        "a": "text",
        "b": {"field": np.arange(3)},
        "c": np.array([1, "x"], object),
        "d": np.eye(3) * 1j,
    }
    for compressed in (True, False):
        same(parse_tfd(mat(compressed, **others), "x"))
    opaque = element(14, element(6, struct.pack("<II", 17, 0)) + element(1, b"images"))
    same(parse_tfd(file(opaque, packed(opaque), *written()), "x"))


def test_a_compressed_variable_may_lack_its_end_mark():
    """MATLAB has written such files."""
    compressor = zlib.compressobj()
    plain = variable("folds", VARIABLES["folds"])
    data = compressor.compress(plain) + compressor.flush(zlib.Z_SYNC_FLUSH)
    folds = struct.pack("<II", 15, len(data)) + data
    same(parse_tfd(file(*written(folds=folds)), "x"))


def test_parts_are_those_of_the_fold():
    found = parse_tfd(mat(), "x")
    images, folds = VARIABLES["images"], VARIABLES["folds"]
    assert np.array_equal(found.unlabelled(), images[LABELLED:])
    for fold in range(5):
        assert np.array_equal(found.valid(fold), images[folds[:, fold] == 2])
        assert np.array_equal(found.test(fold), images[folds[:, fold] == 3])


def test_counts_that_are_not_the_official_ones_are_told():
    message = structure_problem(parse_tfd(mat(), "x"))
    assert message == (
        "16 images, 10 unlabelled and 6 labelled, instead of 102,236, 98,058 and 4,178"
    )
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
        ({"labs_id": None, "folds": None}, "lacks labs_id, folds;"),
        ({"images": "text"}, "images: must be a full array of real numbers"),
        ({"images": IMAGES * 1j}, "images: must be a full array of real numbers"),
        ({"images": IMAGES > 9}, "images: must be a full array of real numbers"),
        ({"folds": scipy.sparse.csc_array(VARIABLES["folds"])}, "folds: must be a full array"),
        ({"labs_ex": np.array([1, "x"], object)}, "labs_ex: must be a full array"),
        ({"images": IMAGES[:, :47]}, "images: shape 16 x 47 x 48, expected N x 48 x 48"),
        ({"images": IMAGES[..., None]}, "images: shape 16 x 48 x 48 x 1"),
        ({"images": IMAGES.transpose(1, 0, 2)}, "images: shape 48 x 16 x 48"),
        ({"images": IMAGES.reshape(N, 2304)}, "images: shape 16 x 2304"),
        ({"images": IMAGES[:0]}, "images: shape 0 x 48 x 48"),
        ({"images": IMAGES[:9]}, "labs_ex: shape 16 x 1, expected 9 x 1"),
        (put("images", 3, np.nan, "f8"), f"images: holds NaN; {PIXELS}"),
        (put("images", 3, np.inf, "f8"), f"to inf; {PIXELS}"),
        (put("images", 3, -np.inf, "f4"), f"values from -inf to 255; {PIXELS}"),
        (put("images", 3, 0.5, "f4"), f"values from 0 to 255 with fractions; {PIXELS}"),
        (put("images", 3, -1, "i2"), f"values from -1 to 255; {PIXELS}"),
        (put("images", 3, 256, "f8"), f"values from 0 to 256; {PIXELS}"),
        (put("images", 3, 2**64 - 1, "u8"), f"values from 0 to 1.84467e+19; {PIXELS}"),
        ({"images": IMAGES / 255}, "images: scaled to values from 0 to 1; expected whole"),
        ({"images": (IMAGES / 255).astype("f4")}, "images: scaled"),
        ({"images": (IMAGES > 9) * 1.0}, "images: scaled"),
        (put("labs_ex", 3, 0), "labs_ex: holds 0, expected 1 to 7, or -1"),
        (put("labs_ex", 3, 8), "labs_ex: values from -1 to 8"),
        (put("labs_ex", 3, -2), "labs_ex: values from -2 to 6"),
        ({"labs_ex": VARIABLES["labs_ex"][1:]}, "labs_ex: shape 15 x 1, expected 16 x 1"),
        ({"labs_ex": np.ones((4, 4))}, "labs_ex: shape 4 x 4, expected 16 x 1"),
        ({"labs_id": VARIABLES["labs_id"][1:]}, "labs_id: shape 15 x 1, expected 16 x 1"),
        (put("labs_id", 3, 0.5, "f8"), "labs_id: values from -1 to 0.5 with fractions"),
        (put("labs_id", 3, np.nan, "f8"), "labs_id: holds NaN"),
        ({"folds": VARIABLES["folds"].T}, "folds: shape 5 x 16, expected 16 x 5"),
        ({"folds": VARIABLES["folds"][:, :4]}, "folds: shape 16 x 4"),
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
@pytest.mark.parametrize("compressed", [True, False])
def test_a_bad_variable_is_refused(changed, message, compressed):
    assert message in error(mat(compressed, **changed))


def test_more_images_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(tfd, "LARGEST", N - 1)
    assert "images: shape 16 x 48 x 48, expected 15 images at most" in error(mat())


def test_a_variable_that_is_there_twice_is_refused():
    assert "folds: is there twice" in error(file(*written(), written()[-1]))


@pytest.mark.parametrize(
    "content",
    [
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM",
        b"\x89HDF\r\n\x1a\n" + bytes(200),
        bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(200),
        mat()[:512] + b"\x89HDF\r\n\x1a\n",
    ],
)
def test_hdf5_files_are_told_how_to_convert(content):
    assert "a MATLAB 7.3 (HDF5) file; convert it in MATLAB: load it, then save(" in error(content)
    assert "'-v7')" in error(content)


def level_4():
    content = io.BytesIO()
    scipy.io.savemat(content, {"folds": VARIABLES["folds"]}, format="4")
    return content.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"\0", bytes(500), b"text" * 100, level_4(), mat()[:127], b"\0" + mat()[1:]]
)
def test_other_formats_are_refused(content):
    assert "not a MATLAB file of level 5" in error(content)


PLAIN, COMPRESSED = mat(compressed=False), mat()
FOLDS = VARIABLES["folds"]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN[:-1],
        PLAIN[: len(PLAIN) // 2],
        PLAIN[:130],
        PLAIN + b"\0",
        PLAIN + bytes(8),
        COMPRESSED[:-1],
        COMPRESSED + b"padding",
        file(*written(folds=variable("folds", FOLDS, kind=14))),
        file(*written(folds=variable("folds", FOLDS, kind=8))),
        file(*written(folds=variable("folds", FOLDS, kind=200))),
        file(*written(folds=variable("folds", FOLDS, kind=0xFFFF))),
        file(*written(folds=variable("folds", FOLDS, kind=4))),
        file(*written(folds=variable("folds", FOLDS, size=2**32 - 1))),
        file(*written(folds=variable("folds", FOLDS, size=79))),
        file(*written(folds=variable("folds", FOLDS) + b"12345678")),
        file(*written(folds=packed(variable("folds", FOLDS)[:-9]))),
        file(*written(folds=packed(variable("folds", FOLDS) + b"123456789"))),
        file(*written(folds=packed(element(2, b"x" * 8)))),
        file(*written(folds=packed(b""))),
        file(*written(folds=packed(packed(variable("folds", FOLDS))))),
        file(*written(folds=element(15, b"not compressed"))),
        file(element(14, element(6, bytes(2000)))),
        file(element(14, element(9, bytes(8)))),
    ],
)
def test_a_damaged_file_is_one_line(content):
    assert "damaged or truncated MATLAB file (" in error(content)


def test_a_damaged_check_sum_is_seen():
    folds = bytearray(packed(variable("folds", FOLDS)))
    folds[-1] ^= 1
    assert "incorrect data check" in error(file(*written(folds=bytes(folds))))


def traced(content):
    """Return the error of a file and the most memory that it took."""
    tracemalloc.start()
    message = error(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return message, peak


def test_bombs_are_refused_before_they_go_off(monkeypatch):
    zeros = zlib.compress(bytes(1 << 26), 9)
    head = variable("folds", FOLDS)[:-88]  # up to the values' tag
    compressor = zlib.compressobj()
    long = struct.pack("<II", 14, 1 << 27) + element(6, struct.pack("<II", 9, 0))
    names = compressor.compress(long + element(5, bytes(8)) + struct.pack("<II", 1, 1 << 26))
    names += compressor.compress(bytes(1 << 26)) + compressor.flush()
    bombs = [
        element(15, zeros),
        struct.pack("<II", 15, len(names)) + names,
        packed(head + element(2, bytes(1 << 26))),
        packed(head + element(2, FOLDS.tobytes()) + bytes(1 << 26)),
        variable("folds", FOLDS, shape=(2**31 - 1,) * 5),
        variable("folds", FOLDS, shape=(1,) * 400),
    ]
    for bomb in bombs:
        _, peak = traced(file(bomb, *written()[:3]))
        assert peak < 1 << 26  # scipy inflates 128 KB of the file at a time
    images = variable("images", IMAGES, shape=(2**31 - 1, 48, 48))
    message, peak = traced(file(*written(images=images)))
    assert "bytes of type 2 for its shape" in message
    assert peak < 1 << 21
    monkeypatch.setattr(tfd, "INFLATED", 1 << 20)
    zeros = packed(variable("images", np.zeros((400, 48, 48))))
    message, peak = traced(file(*written(images=zeros)))
    assert "no images" in message
    assert peak < 1 << 21


def test_memory_is_that_of_the_stored_images_and_two_copies_as_bytes():
    many = {
        name: np.tile(value, (40,) + (1,) * (value.ndim - 1)) for name, value in VARIABLES.items()
    }
    size = many["images"].nbytes
    for images in (many["images"], many["images"].astype(float)):
        content = mat(compressed=False, **many | {"images": images})
        tracemalloc.start()
        found = parse_tfd(content, "x")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.images.nbytes == size
        assert peak < images.nbytes * (images.dtype == float) + 2 * size + (1 << 20)


def test_a_file_is_refused_by_what_stands_before_the_values():
    """So that it need not be read as a whole."""
    for content in (PLAIN, COMPRESSED):
        check_variables(io.BytesIO(content), "x")
        with pytest.raises(UserError, match="damaged or truncated"):
            check_variables(io.BytesIO(content[:-1]), "x")
    with pytest.raises(UserError, match="lacks folds"):
        check_variables(io.BytesIO(file(*written()[:3])), "x")


def outcome(content):
    """Check that bytes are a valid result or an error of one line."""
    try:
        found = parse_tfd(content, "fuzz")
    except UserError as caught:
        message = str(caught)
    else:
        message = "fuzz: no error"
        assert found.images.shape == (len(found.folds), 48, 48)
        assert found.folds.shape[1:] == (5,)
        assert found.folds.max() <= 3
        assert len(found.unlabelled())
    assert message.startswith("fuzz: ")
    assert "\n" not in message


HEADS = [  # where what is not a value lies: the file's header, and the bytes before the values
    position
    for name in VARIABLES
    for position in range(PLAIN.index(name.encode()) - 48, PLAIN.index(name.encode()) + 24)
] + list(range(128))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(HEADS), st.binary(min_size=1, max_size=8))
def test_any_change_to_a_header_is_an_error_or_harmless(position, new):
    outcome(PLAIN[:position] + new + PLAIN[position + len(new) :])


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(HEADS), st.binary(max_size=9), st.integers(0, 9))
def test_any_change_within_a_compressed_variable_is_an_error_or_harmless(position, new, gone):
    changed = PLAIN[:position] + new + PLAIN[position + gone :]
    parts, start = [], 128
    while start + 8 <= len(changed):
        size = 8 + int.from_bytes(changed[start + 4 : start + 8], "little")
        parts.append(packed(changed[start : start + size]))
        start += size
    outcome(file(*parts))


@settings(deadline=None, max_examples=100)
@given(
    st.booleans(),
    st.floats(0, 1),
    st.sampled_from(["flip", "cut", "insert", "pad"]),
    st.binary(min_size=1, max_size=16),
)
def test_any_damage_is_an_error_or_harmless(compressed, where, how, new):
    content = COMPRESSED if compressed else PLAIN
    position = int(where * len(content))
    before, after = content[:position], content[position:]
    outcome(
        {
            "flip": before + new + after[len(new) :],
            "cut": before,
            "insert": before + new + after,
            "pad": content + new,
        }[how]
    )


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_clear_error(content, compressed):
    for found in (content, file(content), file(packed(content))):
        with pytest.raises(UserError):
            parse_tfd(found, "fuzz")


NUMBERS = st.sampled_from(["f4", "f8", "u8", "i8"])


@settings(deadline=None, max_examples=60)
@given(
    NUMBERS, st.binary(min_size=8, max_size=8), st.sampled_from(["labs_ex", "labs_id", "images"])
)
def test_any_number_is_an_error_or_harmless(kind, raw, name):
    """Signalling NaNs and the like must not be warnings."""
    array = VARIABLES[name].astype(kind)
    array.reshape(-1)[1] = np.frombuffer(raw, kind)[0]
    outcome(mat(compressed=False, **{name: array}))


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse_tfd(COMPRESSED, "x")
    assert not any(tmp_path.iterdir())
