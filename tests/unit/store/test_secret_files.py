"""Secrets of an embedded installation, as another process and as somebody with a copy of the folder sees them."""

from pathlib import Path

import pytest

from tollkeeper.errors import NotFound, StoreUnavailable
from tollkeeper.store.secret_files import SecretFiles


def files(folder: Path | str, key: str = "salt") -> SecretFiles:
    return SecretFiles(str(folder), lambda: key, "kept/")


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["models/abc/api_key", "credentials/ünï/../../x"])
async def test_another_process_reads_what_was_kept_and_a_copy_of_the_folder_does_not(tmp_path: Path, name: str) -> None:
    secret_id = await files(tmp_path).keep(name, "sk-provider-secret")
    assert secret_id == f"kept/{name}"
    assert await files(tmp_path).get(secret_id) == {"value": "sk-provider-secret"}
    [path] = files_of(tmp_path)
    assert (path.stat().st_mode & 0o777, b"provider" in path.read_bytes()) == (0o600, False)
    with pytest.raises(StoreUnavailable, match="another key"):
        await files(tmp_path, "guess").get(secret_id)


async def test_a_secret_is_overwritten_and_dropped(tmp_path: Path) -> None:
    here, there = files(tmp_path), files(tmp_path)
    secret_id = await here.keep("m", "one")
    assert await here.keep("m", "two") == secret_id
    assert await there.get(secret_id) == {"value": "two"}
    await here.drop(secret_id)
    await here.drop(secret_id)
    with pytest.raises(NotFound):
        await there.get(secret_id)


async def test_one_secret_does_not_pass_for_another(tmp_path: Path) -> None:
    keeper = files(tmp_path)
    one, two = await keeper.keep("one", "1"), await keeper.keep("two", "2")
    paths = sorted((tmp_path / "secrets").iterdir())
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    for secret_id in (one, two):
        with pytest.raises(StoreUnavailable):
            await keeper.get(secret_id)


async def test_in_memory_it_lasts_as_long_as_the_process() -> None:
    keeper = files(":memory:")
    secret_id = await keeper.keep("m", "one")
    assert await keeper.get(secret_id) == {"value": "one"}
    await keeper.drop(secret_id)
    with pytest.raises(NotFound):
        await keeper.get(secret_id)


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot be kept"):
        await files(tmp_path).keep("m", "one")
