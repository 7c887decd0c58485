"""Tests mirror `src` by path and name: a module's tests are found by its path."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
SOURCES = TESTS.parent / "src" / "newscaster"

CROSS_CUTTING = {
    "test_against_mediapipe",
    "test_as_it_comes",
    "test_assistant_example",
    "test_base_recipe",
    "test_browser",
    "test_browser_tests",
    "test_clock",
    "test_containers",
    "test_damaged",
    "test_errors",
    "test_extending",
    "test_face_models",
    "test_faults",
    "test_formats_page",
    "test_hostile_files",
    "test_huge_samples",
    "test_key_frames",
    "test_layout",
    "test_levels",
    "test_network",
    "test_nothing_leaves",
    "test_page_dub",
    "test_page_input",
    "test_page_live",
    "test_page_looks",
    "test_page_new_anchor",
    "test_page_studio",
    "test_page_texts",
    "test_playlists",
    "test_project_files",
    "test_public_names",
    "test_raw_names",
    "test_real_footage",
    "test_real_people",
    "test_session_anchor",
    "test_setup",
    "test_standard_streams",
    "test_supply_chain",
    "test_validity",
    "test_work_folders",
    "test_yuv_frames",
}
"""Files whose tests are of several modules, or of none."""


def names_a_module(folder: Path, name: str) -> bool:
    """Whether a folder of `src` has a package or module of this name, or a module whose aspect it names."""
    words = name.split("_")
    stems = ("_".join(words[:count]) for count in range(1, len(words) + 1))
    return (folder / name / "__init__.py").is_file() or any((folder / f"{s}.py").is_file() for s in stems)


def test_each_test_file_names_a_module_or_is_listed() -> None:
    unnamed = set()
    for path in TESTS.rglob("test_*.py"):
        folder = SOURCES / path.parent.relative_to(TESTS)
        if folder.is_dir() and not names_a_module(folder, path.stem.removeprefix("test_")):
            unnamed.add(path.stem)
    assert unnamed == CROSS_CUTTING


def test_a_file_may_name_an_aspect_of_its_module() -> None:
    assert names_a_module(SOURCES, "errors")
    assert names_a_module(SOURCES, "media")
    assert not names_a_module(SOURCES, "media_files")
    assert names_a_module(SOURCES / "media", "scan_lines")
    assert not names_a_module(SOURCES / "media", "lines_of_a_scan")
    assert not names_a_module(SOURCES, "scan")
