import gzip
import io
import tarfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_repro.core.errors import UserError
from paper_repro.data import cifar10
from paper_repro.data.cifar10 import FOLDER, RECORD, TEST, TRAIN, parse_cifar10


def records(count, seed):
    batch = np.random.default_rng(seed).integers(0, 256, (count, RECORD), np.uint8)
    batch[:, 0] %= 10
    return batch


BATCHES = {name: records(2 + i, i) for i, name in enumerate((*TRAIN, TEST))}
FILES = {name: batch.tobytes() for name, batch in BATCHES.items()}


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar(members, form=tarfile.USTAR_FORMAT):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def zipped(archive):
    return gzip.compress(archive, compresslevel=1)


def official(**changed):
    """Return the members of an archive of the official layout, in the official one's odd order."""
    names = [*TRAIN[:1], *TRAIN[:0:-1], TEST]
    return [
        member(FOLDER, type=tarfile.DIRTYPE, mode=0o755),
        member(f"{FOLDER}/batches.meta.txt", b"airplane\n"),
        *(member(name, changed.get(name, FILES[name])) for name in names),
        member(f"{FOLDER}/readme.html", b"<html>"),
    ]


ARCHIVE = tar(official())
PACKED = zipped(ARCHIVE)


def pixels(*names):
    return np.concatenate([BATCHES[name][:, 1:] for name in names]).reshape(-1, 3, 32, 32)


def error(content):
    with pytest.raises(UserError) as caught:
        parse_cifar10(content, "some-file")
    message = str(caught.value)
    assert message.startswith("some-file: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_it_reads_the_batches_in_their_order(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, test = parse_cifar10(zipped(tar(official(), form)), "x")
    assert train.dtype == test.dtype == np.uint8
    assert np.array_equal(train, pixels(*TRAIN))
    assert np.array_equal(test, pixels(TEST))
    assert not any(tmp_path.iterdir())


def test_headers_of_times_are_passed_over():
    members = [member(name, data, mtime=1.5) for name, data in FILES.items()]
    archive = tar(members, tarfile.PAX_FORMAT)
    assert b"mtime=1.5" in archive
    assert np.array_equal(parse_cifar10(zipped(archive), "x")[0], pixels(*TRAIN))


def test_pixels_are_planes_of_rows():
    record = np.concatenate([[3], np.full(1024, 1), np.full(1024, 2), np.arange(1024) % 256])
    train, _ = parse_cifar10(
        zipped(tar(official(**{TRAIN[0]: record.astype(np.uint8).tobytes()}))), "x"
    )
    assert (train[0, 0] == 1).all()
    assert (train[0, 1] == 2).all()
    assert train[0, 2, 1, 3] == 35


def with_label(label):
    batch = BATCHES[TRAIN[2]].copy()
    batch[1, 0] = label
    return batch.tobytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (FILES[TRAIN[2]][:-1], "12291 bytes, expected records of 3073; truncated?"),
        (FILES[TRAIN[2]] + b"\0", "12293 bytes"),
        (b"", "0 bytes"),
        (with_label(10), "label 10, expected 0 to 9"),
        (with_label(255), "label 255"),
    ],
)
def test_a_bad_batch_is_refused(data, message):
    found = error(zipped(tar(official(**{TRAIN[2]: data}))))
    assert message in found
    assert TRAIN[2] in found


@pytest.mark.parametrize(
    "extra",
    [
        member("../evil", b"x"),
        member(f"{FOLDER}/../evil", b"x"),
        member("/etc/evil", b"x"),
        member(f"/{FOLDER}/test_batch.bin", b"x"),
        member(f"./{FOLDER}/test_batch.bin", b"x"),
        member(f"{FOLDER}/other.bin", b"x"),
        member(f"{FOLDER}/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("cifar-10-batches-py", type=tarfile.DIRTYPE),
        member("odd\nname\udcff", b"x"),
        member(""),
        member(FOLDER, b"x"),
        member("n" * 99 + "/" + "n" * 90, b"x"),
    ],
    ids=lambda extra: repr(extra[0].name),
)
@pytest.mark.parametrize("first", [True, False])
def test_what_does_not_belong_there_is_refused(extra, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = [extra, *official()] if first else [*official(), extra]
    message = error(zipped(tar(members)))
    assert "no part of CIFAR-10's binary version" in message or "is there twice" in message
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        b"Z",
    ],
)
def test_a_batch_must_be_a_plain_file(kind):
    special = member(TEST, type=kind, linkname=TRAIN[0])
    message = error(zipped(tar([special, *official()])))
    assert "expected a plain file" in message or "bytes, expected records" in message


def test_a_sparse_file_is_refused():
    for sparse in (
        member(TEST, type=tarfile.GNUTYPE_SPARSE),
        member(TEST, FILES[TEST], pax_headers={"GNU.sparse.realsize": "9999999999"}),
        member(TEST, FILES[TEST], pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
    ):
        assert "it has sparse files" in error(zipped(tar([sparse], tarfile.PAX_FORMAT)))


@pytest.mark.parametrize("name", [FOLDER, TEST, f"{FOLDER}/readme.html"])
def test_what_is_there_twice_is_refused(name):
    again = [entry for entry in official() if entry[0].name == name]
    assert "is there twice" in error(zipped(tar([*official(), *again])))


@pytest.mark.parametrize("name", [*TRAIN, TEST])
def test_a_missing_batch_is_named(name):
    members = [entry for entry in official() if entry[0].name != name]
    assert f"lacks {name}; get" in error(zipped(tar(members)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "../evil"}, "'../evil': no part of"),
        ({"size": "1"}, "no header there"),
        ({"size": "-1"}, "-1 bytes announced"),
        ({"size": "9" * 30}, "9 bytes announced"),
        ({"comment": "x" * 5000}, "a header of 50"),
    ],
)
def test_extended_headers_can_do_no_harm(fields, message):
    archive = tar([member(TEST, FILES[TEST], pax_headers=fields), *official()], tarfile.PAX_FORMAT)
    assert message in error(zipped(archive))


def test_gnu_long_names_are_refused():
    archive = tar([member("n" * 300, b"x"), *official()], tarfile.GNU_FORMAT)
    assert "no part of" in error(zipped(archive))


def with_size(size):
    """Return an archive whose last header, of a file without data, announces `size` bytes."""
    info = tarfile.TarInfo(TEST)
    info.size = size
    return ARCHIVE[: ARCHIVE.rindex(f"{FOLDER}/readme.html".encode())] + info.tobuf(
        tarfile.GNU_FORMAT
    )


@pytest.mark.parametrize("size", [1, 2**33 - 1, 2**80])
def test_absurd_sizes_are_refused(size):
    assert f"{size} bytes announced, the archive ends before" in error(zipped(with_size(size)))


@pytest.mark.parametrize("size", [-512, -1])
def test_negative_sizes_are_refused(size):
    """`tarfile` would go back in the archive, for ever."""
    assert f"a header of {size} bytes" in error(zipped(with_size(size)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or truncated tar archive"),
        (zipped(b""), "damaged or truncated tar archive"),
        (ARCHIVE, "damaged or truncated gzip file"),
        (PACKED[:-1], "damaged or truncated gzip file"),
        (PACKED[: len(PACKED) // 2], "damaged or truncated gzip file"),
        (PACKED + b"x", "damaged or truncated gzip file"),
        (zipped(ARCHIVE[: ARCHIVE.rindex(b"<html>")]), "the archive ends before"),
        (zipped(ARCHIVE[:600]), "truncated tar archive"),
        (zipped(b"x" + ARCHIVE), "damaged or truncated tar archive"),
        (zipped(ARCHIVE + b"x"), "more data after byte"),
        (zipped(b"not a tar archive" * 100), "damaged or truncated tar archive"),
    ],
)
def test_a_damaged_file_is_one_line(content, message):
    assert message in error(content)


def test_bombs_cost_no_more_than_the_limit(monkeypatch):
    limit = 1 << 22
    monkeypatch.setattr(cifar10, "LARGEST", limit)
    keys = b"".join(b"12 %06d=vv\n" % i for i in range(limit // 13))[: limit - 4096]
    ending = tar([])
    bombs = {
        "zeros": zipped(bytes(1 << 26)),
        "headers of extended headers": zipped(
            tar([member("pax", keys, type=tarfile.XHDTYPE)]) + ending
        ),
        "a row of headers": zipped(
            b"".join(tar([member("pax", type=tarfile.XHDTYPE)])[:512] for _ in range(2000))
        ),
        "a long name": zipped(tar([member("long", b"n" * (limit // 2), type=b"L")])),
        "a sparse file": zipped(tar([member("sparse", type=b"S")])),
    }
    for content in bombs.values():
        tracemalloc.start()
        error(content)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * limit


def test_memory_is_that_of_the_archive_and_of_the_result(monkeypatch):
    archive = tar(official(**{name: records(300, 0).tobytes() for name in FILES}))
    content, plain = zipped(archive), len(archive)
    monkeypatch.setattr(cifar10, "LARGEST", plain)
    tracemalloc.start()
    train, test = parse_cifar10(content, "x")
    peak = tracemalloc.get_traced_memory()[1]
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (len(train), len(test)) == (1500, 300)
    assert peak < plain + train.nbytes + test.nbytes + (1 << 20)
    assert kept < train.nbytes + test.nbytes + (1 << 20)  # they don't hold the archive


def outcome(content):
    """Check that bytes are a valid result or an error of one line."""
    try:
        train, test = parse_cifar10(content, "fuzz")
    except UserError as caught:
        message = str(caught)
    else:
        message = "fuzz: no error"
        assert train.shape[1:] == test.shape[1:] == (3, 32, 32)
        assert len(train) >= len(TRAIN)
        assert len(test)
    assert message.startswith("fuzz: ")
    assert "\n" not in message


HEADERS = [i for i in range(0, len(ARCHIVE), 512) if ARCHIVE[i + 257 : i + 262] == b"ustar"]


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(HEADERS),
    st.integers(0, 511),
    st.binary(min_size=1, max_size=12),
    st.booleans(),
)
def test_any_change_to_a_header_is_an_error_or_harmless(header, offset, new, mend):
    changed = bytearray(ARCHIVE)
    offset = min(offset, 512 - len(new))
    changed[header + offset : header + offset + len(new)] = new
    if mend:  # the check sum, so that the change is seen
        changed[header + 148 : header + 156] = b" " * 8
        total = sum(changed[header : header + 512])
        changed[header + 148 : header + 156] = b"%06o\0 " % total
    outcome(gzip.compress(bytes(changed), compresslevel=0))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.builds(
            lambda name, kind, data, link: member(name, data, type=kind, linkname=link),
            st.sampled_from([*FILES, FOLDER, "../x", "/x", "", f"{FOLDER}/readme.html"]),
            st.sampled_from([b"0", b"\0", b"1", b"2", b"3", b"5", b"7", b"x", b"g", b"L", b"S"]),
            st.sampled_from([b"", b"x", b"30 path=../x\n", bytes(RECORD), bytes(2 * RECORD)]),
            st.sampled_from(["", "/etc/passwd"]),
        ),
        max_size=4,
    ),
    st.integers(0, 10),
)
def test_any_archive_is_a_result_or_a_clear_error(members, place):
    entries = official()
    entries[place:place] = members
    outcome(gzip.compress(tar(entries), compresslevel=0))


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255), st.booleans())
def test_any_flipped_byte_or_cut_is_an_error_or_harmless(position, flip, cut):
    changed = bytearray(PACKED)
    changed[position] ^= flip
    outcome(PACKED[:position] if cut else bytes(changed))


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=1200))
def test_any_bytes_are_a_clear_error(content):
    with pytest.raises(UserError):
        parse_cifar10(content, "fuzz")
    with pytest.raises(UserError):
        parse_cifar10(zipped(content), "fuzz")
