from pathlib import Path

import pytest
from tests.support.config import compiled, found, only

from tollkeeper.config.compile import compile_file
from tollkeeper.config.load import MAX_BYTES
from tollkeeper.errors import ConfigError

ONE = "model_list:\n  - model_name: m\n    litellm_params: {model: openai/gpt-4o}\n"


def _refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        compile_file(path, env={}.get)
    assert "\n" not in str(caught.value), "one line for what is wrong with the whole file"
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "gateway.yaml: is empty"),
        (b"# only a comment\n", "gateway.yaml: is empty"),
        (b"null\n", "gateway.yaml: is empty"),
        (b"- a\n- b\n", "must be a mapping of sections (model_list: …), not a list"),
        (b"just words\n", "not a text"),
        (b"a: 1\nb: \xff\xfe\n", "gateway.yaml:2: is not UTF-8"),
        (b"model_list:\n  - a: [1, 2\nb: 3\n", "is not YAML"),
        (b"a: {b: c\n\td: e}\n", "gateway.yaml:2: is not YAML"),
        (b"a: *nowhere\n", "undefined alias"),
        (b"a: 1\n---\nb: 2\n", "another document"),
        (b"a: \x00\n", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(content)
    assert said in _refused(path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    assert _refused(tmp_path / "gateway.yaml") == "gateway.yaml: cannot be read: No such file or directory"
    assert "cannot be read: Is a directory" in _refused(tmp_path)


def test_a_file_of_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "is larger than 10 MB" in _refused(path)


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? "])
def test_depth_is_bounded_before_it_can_hurt(opening: str) -> None:
    with pytest.raises(ConfigError, match="nested deeper"):
        compiled(opening * 100_000)


def test_aliases_are_bounded_by_what_they_expand_to() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="once its aliases are expanded"):
        compiled("\n".join(lines))


def test_an_alias_inside_itself_is_a_finding() -> None:
    assert any("an alias that contains itself" in line for line in found(ONE + "general_settings: &g\n  alerting: [*g]\n"))


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + ONE.replace("\n", "\r\n").encode())
    assert [row.group for row in compile_file(path, env={}.get).deployments] == ["m"]


def test_anchors_and_merge_keys_are_read_as_yaml_has_them() -> None:
    snapshot = compiled("""
        litellm_settings: {num_retries: 1}
        model_list:
          - model_name: a
            litellm_params: &base {model: openai/gpt-4o, timeout: 30, rpm: 5}
          - model_name: b
            litellm_params:
              <<: *base
              rpm: 7
    """)
    assert [(row.model, row.timeout, row.rpm) for row in snapshot.deployments] == [("gpt-4o", 30, 5), ("gpt-4o", 30, 7)]


def test_a_mistake_in_a_merged_mapping_names_the_line_it_is_written_on() -> None:
    lines = found("""\
        model_list:
          - model_name: a
            litellm_params: &base
              model: openai/gpt-4o
              rpm: many
          - model_name: b
            litellm_params:
              <<: *base
    """)
    assert lines == (
        "model_list[0].litellm_params.rpm (gateway.yaml:5): must be a whole number",
        "model_list[1].litellm_params.rpm (gateway.yaml:5): must be a whole number",
    )


def test_a_key_set_twice_is_an_error_with_both_lines() -> None:
    assert found(ONE + "router_settings:\n  num_retries: 1\n  num_retries: 2\n") == (
        "router_settings.num_retries (gateway.yaml:6): is set twice (first on line 5); keep one",
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1: x", "the key 1 is read as number; put it in quotes"),
        ("on: x", "the key on is read as true/false; put it in quotes"),
        ("[a]: x", "a key must be text"),
        ("x: !!python/object/apply:os.system [ls]", "must be"),
        ("master_key: !!binary aGk=", "the YAML tag tag:yaml.org,2002:binary is not supported"),
        ("max_request_size_mb: 99999999999999999999999", "is not a number this gateway can hold"),
        ("<<: 3", "`<<` takes a mapping"),
    ],
)
def test_yaml_that_means_something_else_is_pointed_out(line: str, said: str) -> None:
    if said == "must be":
        # An unknown tag constructs nothing: the value stays the list it is.
        assert found(ONE + "general_settings:\n  master_key: !!python/object/apply:os.system [ls]\n") == (
            "general_settings.master_key (gateway.yaml:5): must be text; put it in quotes",
        )
        return
    assert any("(gateway.yaml:5)" in finding and said in finding for finding in found(ONE + f"general_settings:\n  {line}\n"))


def test_dates_stay_text() -> None:
    assert only("model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o, api_day: 2024-10-21}}]").body == {
        "api_day": "2024-10-21"
    }


class TestIncludes:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "parts").mkdir()
        (tmp_path / "gateway.yaml").write_text(ONE + "include: [parts/more.yaml]\nlitellm_settings: {num_retries: 1}\n")
        return tmp_path

    def test_lists_are_joined_and_mappings_filled_up(self, folder: Path) -> None:
        (folder / "parts/more.yaml").write_text(
            "include: deeper.yaml\nlitellm_settings: {request_timeout: 9}\n"
            "model_list: [{model_name: n, litellm_params: {model: openai/gpt-4o}}]\n"
        )
        (folder / "parts/deeper.yaml").write_text("model_list: [{model_name: o, litellm_params: {model: openai/gpt-4o}}]\n")
        snapshot = compile_file(folder / "gateway.yaml", env={}.get)
        assert [row.group for row in snapshot.deployments] == ["m", "n", "o"]
        assert (snapshot.num_retries, snapshot.request_timeout) == (1, 9)

    def test_findings_name_the_file_they_are_in(self, folder: Path) -> None:
        (folder / "parts/more.yaml").write_text("\nmodel_list:\n  - model_name: n\n    litellm_params: {model: openai/gpt-4o, rpm: x}\n")
        with pytest.raises(ConfigError) as caught:
            compile_file(folder / "gateway.yaml", env={}.get)
        assert caught.value.findings == ("model_list[1].litellm_params.rpm (parts/more.yaml:4): must be a whole number",)

    def test_a_setting_in_both_files_is_an_error(self, folder: Path) -> None:
        (folder / "parts/more.yaml").write_text("litellm_settings: {num_retries: 2}\n")
        with pytest.raises(ConfigError) as caught:
            compile_file(folder / "gateway.yaml", env={}.get)
        assert caught.value.findings == ("litellm_settings.num_retries (gateway.yaml:5): is also set in parts/more.yaml:1; keep one",)

    def test_a_missing_file_and_a_circle_are_findings(self, folder: Path) -> None:
        (folder / "parts/more.yaml").write_text("include: [../gateway.yaml, gone.yaml]\n")
        with pytest.raises(ConfigError) as caught:
            compile_file(folder / "gateway.yaml", env={}.get)
        assert any("includes itself" in line for line in caught.value.findings)
        assert any("gone.yaml: cannot be read: No such file or directory" in line for line in caught.value.findings)

    def test_text_without_a_file_cannot_include(self) -> None:
        assert found(ONE + "include: [x.yaml]\n") == (
            "include (gateway.yaml:4): files are included relative to a file, and this configuration is none; write it all in one",
        )
