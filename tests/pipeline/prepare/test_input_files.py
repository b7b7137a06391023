"""Lists, globs and folders of files, and which source file belongs to which target file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lingo_model import InputError
from pipeline.prepare.corpus import CorpusInput, load_corpus
from pipeline.prepare.input_checks import check_inputs
from pipeline.prepare.input_files import aligned_files, found_files, written_as
from pipeline.prepare.input_names import named_inputs

TSV = "source\ttarget\none\tuno\n"


def make(folder: Path, *names: str, content: str = TSV) -> None:
    """Write files with one content, and the folders above them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def found(folder: Path, *entries: str) -> list[str]:
    """The relative paths of the files that some paths mean."""
    files = found_files(map(Path, entries), folder)
    return [file.relative_to(folder).as_posix() for file in files]


FILES = (
    *("b.tsv", "a.tsv", "c.csv", "day=1/x.tsv", "day=1/_SUCCESS", "day=2/deep/y.tsv"),
    *(".hidden.tsv", "_log/z.tsv", "a.tsv.bak", "b.tsv.tmp", "_day=3/w.tsv", "a[1].tsv"),
)


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        (["a.tsv"], ["a.tsv"]),
        (["b.tsv", "a.tsv"], ["a.tsv", "b.tsv"]),
        (["a.tsv", "*.tsv", "./a.tsv"], ["a.tsv", "a[1].tsv", "b.tsv"]),
        (["a[1].tsv"], ["a[1].tsv"]),  # a file of this name goes before the glob
        (["[ab].tsv"], ["a.tsv", "b.tsv"]),
        (["?.tsv", "c.*"], ["a.tsv", "b.tsv", "c.csv"]),
        (["*/*.tsv"], ["_day=3/w.tsv", "day=1/x.tsv"]),
        (
            ["**/*.tsv"],
            [
                *("_day=3/w.tsv", "a.tsv", "a[1].tsv", "b.tsv", "day=1/x.tsv"),
                "day=2/deep/y.tsv",
            ],
        ),
        (["day=*/**"], ["day=1/x.tsv", "day=2/deep/y.tsv"]),
        (["day=*"], ["day=1/x.tsv", "day=2/deep/y.tsv"]),  # folders, such as those of Spark
        (["day=2"], ["day=2/deep/y.tsv"]),
        (["day=2/", "day=1"], ["day=1/x.tsv", "day=2/deep/y.tsv"]),
        (["*.bak"], ["a.tsv.bak"]),
        ([".*.tsv"], [".hidden.tsv"]),
        (["_log/*"], ["_log/z.tsv"]),
        (["none.tsv"], ["none.tsv"]),  # opening it says that it is missing
    ],
)
def test_paths_mean_files(tmp_path: Path, entries: list[str], names: list[str]) -> None:
    make(tmp_path, *FILES)
    assert found(tmp_path, *entries) == names


def test_a_folder_gives_its_data_files_only(tmp_path: Path) -> None:
    make(tmp_path / "d", *FILES)
    assert found(tmp_path, "d") == [
        *("d/_day=3/w.tsv", "d/a.tsv", "d/a[1].tsv", "d/b.tsv", "d/c.csv"),
        *("d/day=1/x.tsv", "d/day=2/deep/y.tsv"),
    ]


@pytest.mark.parametrize("entry", ["d/*.csv", "nowhere/*.tsv", "**/none.tsv", "d/**/*.csv"])
def test_a_glob_that_matches_nothing_is_refused_by_name(tmp_path: Path, entry: str) -> None:
    make(tmp_path, "d/a.tsv", "d/_b.csv")
    with pytest.raises(InputError) as error:
        found(tmp_path, "d/a.tsv", entry)
    assert str(error.value).startswith(f"{tmp_path / entry}: the pattern matches no file (")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("names", [(), ("_SUCCESS", ".a.crc"), ("a.tsv.tmp", "_temporary/a.tsv")])
def test_a_folder_without_data_is_refused_by_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "d").mkdir()
    make(tmp_path / "d", *names)
    with pytest.raises(InputError) as error:
        found(tmp_path, "d")
    assert str(error.value).startswith(f"{tmp_path / 'd'}: the folder has no file to read (names")


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/a.tsv", "d/b.tsv")
    (tmp_path / "d" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d" / "back").symlink_to(tmp_path / "d")
    assert found(tmp_path, "d") == found(tmp_path, "d/**") == ["d/b.tsv", "d/linked/a.tsv"]
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "back").symlink_to(tmp_path / "only")
    for entry in ("only", "only/**/*.tsv"):
        with pytest.raises(InputError, match=r"a link that leads back is not followed: .*only/"):
            found(tmp_path, entry)
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    with pytest.raises(InputError, match="x: a link to y, which cannot be read"):
        found(tmp_path, "x")


@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        (["a.en", "b.en"], ["a.de", "b.de"]),
        (["a.en.gz", "b.en"], ["a.de.gz", "b.de"]),
        (["x.de-en.en", "y.de-en.en"], ["x.de-en.de", "y.de-en.de"]),
        (["en/1.txt", "en/2.txt"], ["de/1.txt", "de/2.txt"]),
        (["web/en.txt", "news/en.txt"], ["web/de.txt", "news/de.txt"]),
        (["a.EN", "b.en_US"], ["a.de", "b.de"]),
        (["1-src.en", "2-src.en"], ["1-ref.de", "2-ref.de"]),
        (["source.0", "source.1"], ["target.0", "target.1"]),
        (["anything"], ["whatever"]),
    ],
)
def test_aligned_files_are_matched_by_their_names(sources: list[str], targets: list[str]) -> None:
    langs = ("en-US", "de") if "b.en_US" in sources else ("en", "de")
    files = [Path("/c", name) for name in sources], [Path("/c", name) for name in targets[::-1]]
    assert aligned_files(*files, langs) == (tuple(files[0]), tuple(files[1][::-1]))


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        (
            ["a.en", "b.en"],
            ["a.de"],
            "b.en has no partner: 'source' has 2 files and 'target' has 1",
        ),
        (
            ["a.en"],
            ["a.de", "c.de"],
            "c.de has no partner: 'source' has 1 files and 'target' has 2",
        ),
        (["a.en", "b.en"], ["a.de", "c.de"], "b.en, /c/c.de have no partner"),
        (["a.en", "b.en"], ["x", "y"], "and 1 more have no partner"),
    ],
)
def test_a_file_without_a_partner_is_named(
    sources: list[str], targets: list[str], message: str
) -> None:
    files = [Path("/c", name) for name in sources], [Path("/c", name) for name in targets]
    with pytest.raises(InputError) as error:
        aligned_files(*files, ("en", "de"))
    assert message in str(error.value)
    assert "add the missing files, or give each pair of files as an input" in str(error.value)


def test_a_name_for_reports_is_the_path_as_it_is_written() -> None:
    assert written_as([Path("data/*.tsv")]) == "data/*.tsv"
    assert written_as([Path("/mnt/big/data.parquet")]) == "data.parquet"
    assert written_as([Path("/mnt/big/*/x.tsv")]) == "*/x.tsv"
    assert written_as([Path(f"{n}.tsv") for n in range(5)]) == "0.tsv,1.tsv,2.tsv and 2 more"


def description(folder: Path, *inputs: dict[str, object]) -> Path:
    path = folder / "corpus.yaml"
    values = {"source_lang": "en", "target_lang": "de", "inputs": list(inputs)}
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_description_gets_the_files_and_names_of_its_globs(tmp_path: Path) -> None:
    make(tmp_path, "t/b.tsv", "t/a.tsv", "s/b.tsv")
    make(tmp_path, "p/x.en", "p/y.en", "p/x.de", "p/y.de", content="one\n")
    path = description(
        tmp_path,
        {"path": "t/*.tsv"},
        {"source": "p/*.en", "target": "p/*.de"},
        {"path": ["s", "t/a.tsv"], "name": "both"},
        {"path": "s/*"},
    )
    corpus = load_corpus(path)
    check_inputs(corpus)
    tables, aligned, both, single = named_inputs(corpus.inputs)
    assert [part.origin for part in tables.parts] == ["a.tsv#1", "t/b.tsv"]
    assert [part.name for part in aligned.parts] == ["x.en+x.de", "y.en+y.de"]
    assert [part.origin for part in aligned.parts] == ["x.en", "y.en"]
    assert [part.origin for part in both.parts] == ["s/b.tsv#3", "a.tsv#3"]
    assert [named.name for named in (tables, aligned, both)] == ["t/*.tsv", "p/*.en+p/*.de", "both"]
    assert single.name == "s/b.tsv"  # one file has its own name, however it was found


def test_a_wrong_file_of_a_description_is_named_with_the_description(tmp_path: Path) -> None:
    path = description(tmp_path, {"path": "t/*.tsv"})
    with pytest.raises(InputError) as error:
        load_corpus(path)
    assert str(error.value).startswith(f"{path}: {tmp_path / 't/*.tsv'}: the pattern matches no")


def test_files_of_one_input_have_one_format(tmp_path: Path) -> None:
    make(tmp_path, "t/a.tsv")
    make(tmp_path, "t/b.jsonl", content='{"source": "a", "target": "b"}\n')
    corpus = load_corpus(description(tmp_path, {"path": "t"}))
    with pytest.raises(InputError) as error:
        check_inputs(corpus)
    assert str(error.value) == (
        f"the files of one input have different formats: tsv ({tmp_path}/t/a.tsv), jsonl "
        f"({tmp_path}/t/b.jsonl); give each format as an input of its own, such as path: t/*.tsv"
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("README.md", "# Card\n", "a file that ends in .md cannot be read"),
        ("LICENSE", "Free.\n", "the files of one input have different formats: text"),
        ("z.bin", "\0\1\2" * 99, "is not text"),
    ],
)
def test_a_file_without_pairs_among_the_data_is_named_with_a_pattern(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    make(tmp_path, "t/m.tsv", "t/n.tsv")
    make(tmp_path, f"t/{name}", content=content)
    with pytest.raises(InputError) as error:
        check_inputs(load_corpus(description(tmp_path, {"path": "t"})))
    assert str(tmp_path / "t" / name) in str(error.value)
    assert reason in str(error.value)
    assert str(error.value).endswith(", such as path: t/*.tsv")
    check_inputs(load_corpus(description(tmp_path, {"path": "t/*.tsv"})))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("t/{a,b}.tsv", "t/{a,b}.tsv: braces do not stand for several names; give a list of paths"),
        ("~/x.tsv", "~/x.tsv: ~ does not stand for a home folder here; give the whole path"),
    ],
)
def test_what_only_shells_expand_is_refused(tmp_path: Path, entry: str, message: str) -> None:
    make(tmp_path, "t/a.tsv", "t/b.tsv")
    with pytest.raises(InputError) as error:
        found(tmp_path, entry)
    assert str(error.value) == message
    make(tmp_path, entry)  # a file of this name is read
    assert found(tmp_path, entry) == [entry]


def test_one_file_in_both_roles_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a.en", "b.en", "a.de", content="one\n")
    (tmp_path / "b.de").symlink_to("a.en")
    item = {"source": ["a.en", "b.en"], "target": ["a.de", "b.de"]}
    corpus = load_corpus(description(tmp_path, item))
    with pytest.raises(InputError, match=r"b\.de: is among the files of 'source' and of 'target'"):
        check_inputs(corpus)


def test_parts_are_in_the_order_of_names() -> None:
    item = CorpusInput(source=["1.en", "2.en"], target=["1.de", "2.de"])  # type: ignore[arg-type]
    assert [part.files for part in item.parts] == [
        (Path("1.en"), Path("1.de")),
        (Path("2.en"), Path("2.de")),
    ]
    assert item.files == [Path(name) for name in ("1.en", "1.de", "2.en", "2.de")]
