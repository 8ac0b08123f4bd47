"""Files that only the user may read."""

import stat

import pytest

from sansice.sockets import private_file


def test_a_new_file_is_the_users_alone_whatever_the_umask_allows(tmp_path):
    private_file(tmp_path / "x").close()
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def test_what_is_written_is_there_at_once(tmp_path):
    (tmp_path / "x").write_bytes(b"what was there before")
    with private_file(tmp_path / "x") as file:
        file.write(b"new")
        assert (tmp_path / "x").read_bytes() == b"new"


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        private_file(tmp_path / "nowhere" / "x")
