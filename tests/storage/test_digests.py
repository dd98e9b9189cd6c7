"""What a store says of an object, against the published values of its algorithms."""

import base64
import hashlib
import zlib

import pytest

from ser_ops.storage.download import ObjectDigest, crc32, object_digest

SOUND = bytes(range(256)) * 10


def encoded(digest):
    return base64.b64encode(digest).decode()


def nobody_asks(count):
    raise AssertionError("the sizes of stored parts are not needed")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a").write_bytes(SOUND)
    return tmp_path / "a"


@pytest.mark.parametrize(("about", "algorithm"), [
    ({"ChecksumSHA256": encoded(hashlib.sha256(SOUND).digest()), "ETag": '"0"'}, "sha256"),
    ({"ChecksumSHA1": encoded(hashlib.sha1(SOUND).digest()), "ChecksumCRC32": "AAAAAA=="}, "sha1"),
    ({"ChecksumCRC32": encoded(zlib.crc32(SOUND).to_bytes(4)), "ETag": f'"{"0" * 32}"'}, "crc32"),
    ({"ETag": f'"{hashlib.md5(SOUND).hexdigest()}"'}, "md5"),
    ({"ETag": f'"{hashlib.md5(SOUND).hexdigest()}"', "ServerSideEncryption": "AES256"}, "md5")])
def test_the_strongest_digest_counts_and_finds_one_bit(file, about, algorithm):
    digest = object_digest(about, len(SOUND), nobody_asks)
    assert digest.algorithm == algorithm and digest.fits(file)
    file.write_bytes(SOUND[:-1] + b"\xfe")
    assert not digest.fits(file)
    file.write_bytes(SOUND[:-1])
    assert not digest.fits(file)


@pytest.mark.parametrize("algorithm", ["md5", "crc32"])
def test_a_digest_of_stored_parts_of_any_size(file, algorithm):
    sizes = [1000, 1500, 60]
    pieces = [SOUND[sum(sizes[:number]):sum(sizes[:number + 1])] for number in range(3)]
    if algorithm == "md5":
        row = b"".join(hashlib.md5(piece).digest() for piece in pieces)
        about = {"ETag": f'"{hashlib.md5(row).hexdigest()}-3"'}
    else:
        row = b"".join(zlib.crc32(piece).to_bytes(4) for piece in pieces)
        about = {"ChecksumCRC32": encoded(zlib.crc32(row).to_bytes(4)) + "-3"}
    digest = object_digest(about, len(SOUND), lambda count: sizes[:count])
    assert digest.parts == tuple(sizes) and digest.fits(file)
    file.write_bytes(SOUND[:-1] + b"\xfe")
    assert not digest.fits(file)


@pytest.mark.parametrize("about", [
    {}, {"ETag": '"opaque"'}, {"ETag": f'"{"0" * 32}"', "ServerSideEncryption": "aws:kms"},
    {"ETag": f'"{"0" * 32}"', "SSECustomerAlgorithm": "AES256"}, {"ETag": f'"{"0" * 32}-2"'}])
def test_what_does_not_speak_of_the_bytes_is_no_digest(about):
    assert object_digest(about, len(SOUND), lambda count: [10] * count) is None


def test_crc32_of_a_part_and_of_an_empty_object(file, tmp_path):
    assert crc32(file, 100, 300) == zlib.crc32(SOUND[100:300])
    (tmp_path / "empty").touch()
    assert ObjectDigest("md5", bytes.fromhex("d41d8cd98f00b204e9800998ecf8427e")).fits(tmp_path / "empty")
