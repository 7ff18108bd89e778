"""The house: who may import whom, and what stands in the folders; read off the sources, nothing is run."""

import ast
import configparser
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINKED = {"algorithms", "envs"}
#: Lowest first. What stands in one line is on a level, and there a module imports only those before it; the four
#: parts, which import none of each other, are named once more below.
LINES = [
    ["errors", "imports", "streams", "budget", "task", "toolbox", "journal", "stopwatch"],
    ["population", "state"],
    ["envs"],
    ["policies"],
    ["hyperparameters"],
    ["interaction"],
    ["variation", "learning", "evaluation", "selection"],
    ["template"],
    ["learners", "tuned", "trials"],
    ["algorithms"],
    ["running"],
    ["analysis"],
    ["step_counts"],
    ["conformance"],
    ["cli"],
]
PARTS = ["variation", "learning", "evaluation", "selection"]
LEVEL = {name: level for level, line in enumerate(LINES) for name in line}
#: A hybrid may subclass its evolutionary half, and an algorithm the one that it refines.
SPECIAL_CASES = {
    "cem_rl": "cem",
    "erl": "ga",
    "mf_pbt": "pbt",
    "pb2": "pbt",
    "pb2_mix": "pb2",
    "pb2_mult": "pb2",
    "pb2_rand": "pb2",
    "pbt_es": "pbt",
}
#: Second names of entry points.
ALIASES = {"pb2-multi": "pb2-mult"}
ALGORITHMS = sorted((ROOT / "algorithms").glob("*.py"))
LONGEST = 120


def modules() -> dict[str, Path]:
    """Return every module of the library by its dotted name below `evorl`; the links are not followed."""
    found = {}
    for top in (ROOT / "evorl", *(ROOT / name for name in LINKED)):
        for path in top.rglob("*.py"):
            inside = path.relative_to(ROOT / "evorl" if top.name == "evorl" else ROOT)
            if top.name == "evorl" and inside.parts[0] in LINKED:
                continue
            found[".".join(inside.with_suffix("").parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()
#: The root package and `python -m evorl` stand outside: the one gives names away lazily, the other calls the cli.
INSIDE = sorted(set(MODULES) - {"__init__", "__main__"})


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every node but those that run only when the file is a script."""
    for top in tree.body:
        if not (isinstance(top, ast.If) and ast.unparse(top.test) == "__name__ == '__main__'"):
            yield from ast.walk(top)


def imported(name: str, path: Path) -> set[str]:
    """Return the modules below `evorl` that a module imports, at its top, in its functions or for its types."""
    found: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in statements(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("evorl.") for alias in node.names if alias.name.startswith("evorl.")}
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add(".".join(filter(None, [package, node.module])))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "evorl":
            base = node.module.removeprefix("evorl").lstrip(".")
            for alias in node.names:
                longer = f"{base}.{alias.name}".lstrip(".")
                found.add(longer if longer in MODULES or not base else base)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "evorl":
            found.add(node.attr)
    return {target for target in found if not target.startswith("__")}


def line_of(name: str) -> str:
    return name.partition(".")[0]


def is_allowed(importer: str, target: str) -> bool:
    ours, theirs = line_of(importer), line_of(target)
    if ours == theirs:
        return ours != "algorithms" or SPECIAL_CASES.get(importer.rpartition(".")[2]) == target.rpartition(".")[2]
    if LEVEL[ours] != LEVEL[theirs]:
        return LEVEL[theirs] < LEVEL[ours]
    line = LINES[LEVEL[ours]]
    return ours not in PARTS and line.index(theirs) < line.index(ours)


def test_every_module_has_its_place_in_the_list() -> None:
    assert {line_of(name) for name in INSIDE} <= set(LEVEL)
    assert {"template", "algorithms.td3", "running.run", "cli.train", "envs.gymnasium_envs"} <= set(INSIDE)


@pytest.mark.parametrize("name", INSIDE)
def test_a_module_imports_only_from_the_lines_above_its_own(name: str) -> None:
    targets = imported(name, MODULES[name])
    assert {line_of(target) for target in targets} <= set(LEVEL), "an import that is no module of the house"
    assert [target for target in sorted(targets) if not is_allowed(name, target)] == []


def test_imports_are_found_wherever_they_are_written() -> None:
    found = {line_of(target) for target in imported("cli.train", MODULES["cli.train"])}
    assert {"errors", "running", "template"} <= found
    assert "template" in imported("running.registry", MODULES["running.registry"])
    assert "learning" in imported("algorithms.td3", MODULES["algorithms.td3"])


@pytest.mark.parametrize(
    ("importer", "target", "allowed"),
    [
        ("population", "streams", True),
        ("streams", "population", False),
        ("task", "errors", True),
        ("errors", "task", False),
        ("learning.td3", "learning.adam", True),
        ("learning.td3", "selection", False),
        ("selection", "learning", False),
        ("template", "running", False),
        ("algorithms.cem", "algorithms.td3", False),
        ("algorithms.cem_rl", "algorithms.cem", True),
        ("algorithms.cem", "algorithms.cem_rl", False),
    ],
)
def test_the_rule_is_the_one_of_the_design(importer: str, target: str, allowed: bool) -> None:
    assert is_allowed(importer, target) is allowed


def python_files() -> list[Path]:
    folders = ["evorl", "tests", "benchmarks", "docs", *LINKED]
    return sorted({path.resolve() for folder in folders for path in (ROOT / folder).rglob("*.py")})


def test_nothing_imports_the_folders_under_their_bare_names() -> None:
    bare = []
    for path in python_files():
        for node in ast.walk(parsed(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            bare += [f"{path.name}:{name}" for name in names if name.split(".")[0] in LINKED]
    assert bare == []


@pytest.mark.parametrize("path", ALGORITHMS, ids=lambda path: path.name)
def test_an_algorithm_fits_on_a_page(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("name", ["pbt_es", "mf_pbt"])
def test_a_kind_of_pbt_takes_few_lines(name: str) -> None:
    """Its settings and its class, of a module that also imports and starts."""
    classes = [node for node in parsed(ROOT / f"algorithms/{name}.py").body if isinstance(node, ast.ClassDef)]
    assert sum((node.end_lineno or 0) - node.lineno + 1 for node in classes) <= 60


@pytest.mark.parametrize("path", ALGORITHMS, ids=lambda path: path.name)
def test_an_algorithm_leaves_the_loop_alone(path: Path) -> None:
    ours = {"step", "state_dict", "load_state_dict", "__init__"}
    classes = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    defined = {inner.name for node in classes for inner in node.body if isinstance(inner, ast.FunctionDef)}
    assert not defined & ours


def test_no_algorithm_takes_the_name_of_a_standard_module() -> None:
    assert not {path.stem for path in ALGORITHMS} & sys.stdlib_module_names


@pytest.mark.parametrize("name", INSIDE)
def test_the_library_does_not_assert(name: str) -> None:
    assert not [node.lineno for node in ast.walk(parsed(MODULES[name])) if isinstance(node, ast.Assert)]


def setup() -> configparser.ConfigParser:
    read = configparser.ConfigParser()
    read.read(ROOT / "setup.cfg")
    return read


def test_the_packages_listed_are_the_folders_with_python_files() -> None:
    folders = {path.parent.relative_to(ROOT) for path in MODULES.values()}
    dotted = {".".join(path.parts) for path in folders}
    expected = {f"evorl.{name}" if name.split(".")[0] in LINKED else name for name in dotted}
    listed = setup()["options"]["packages"].split()
    assert listed == sorted(expected)


def test_every_package_has_an_init() -> None:
    folders = {path.parent for path in MODULES.values()}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_algorithm_is_an_entry_point_under_its_own_name() -> None:
    points = dict(line.split(" = ") for line in setup()["options.entry_points"]["evorl.algorithms"].strip().split("\n"))
    assert {path.partition(":")[0] for path in points.values()} == {
        f"evorl.algorithms.{path.stem}" for path in ALGORITHMS if path.stem != "__init__"
    }
    assert {name: points[name] == points[own] for name, own in ALIASES.items()} == dict.fromkeys(ALIASES, True)
    assert {name.replace("-", "_") for name in points.keys() - ALIASES} == {path.stem for path in ALGORITHMS} - {
        "__init__"
    }


@pytest.mark.parametrize("name", sorted(LINKED))
def test_the_link_points_to_the_folder_at_the_top(name: str) -> None:
    link = ROOT / "evorl" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    assert (link / "__init__.py").samefile(ROOT / name / "__init__.py")
