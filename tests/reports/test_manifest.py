"""What a report may replace and remove: what reports have written, and nothing else."""

from __future__ import annotations

import json

import pytest

from bench.errors import UserError
from bench.reports import manifest


def names(folder):
    return {path.name for path in folder.iterdir()}


def named(folder):
    return set(json.loads((folder / "manifest.json").read_text())["files"])


def tampered(folder, **stored):
    content = {"version": 1, "files": []} | stored
    (folder / "manifest.json").write_text(json.dumps(content))


def test_only_what_an_earlier_report_wrote_is_removed(tmp_path):
    folder = tmp_path / "deep" / "reports"
    written = manifest.put(folder, {"a.md": b"a", "b.md": b"b", "index.html": b"one"})
    assert written == [folder / name for name in ("a.md", "b.md", "index.html", "manifest.json")]
    (folder / "own.md").write_text("somebody's")
    (folder / "b.md.orig").write_text("somebody's")
    manifest.put(folder, {"a.md": b"new", "c.md": b"c", "index.html": b"two"})
    assert names(folder) == {"a.md", "c.md", "index.html", "manifest.json", "own.md", "b.md.orig"}
    assert (folder / "a.md").read_bytes() == b"new"
    assert named(folder) == {"a.md", "c.md", "index.html"}


def test_where_no_manifest_is_nothing_is_removed(tmp_path):
    """As in the folders of reports that were written before there were manifests."""
    (tmp_path / "a.md").write_text("an earlier report's")
    (tmp_path / "index.html").write_text('<a href="./notes.md">notes</a>')
    (tmp_path / "notes.md").write_text("somebody's")
    manifest.put(tmp_path, {"a.md": b"a", "index.html": b"page"})
    assert names(tmp_path) == {"a.md", "index.html", "manifest.json", "notes.md"}


def test_a_page_of_somebody_else_is_not_written_over(tmp_path):
    (tmp_path / "index.html").write_text("somebody's")
    with pytest.raises(UserError, match=r"--reports: .*index.html is not a report's page"):
        manifest.put(tmp_path, {"a.md": b"a", "index.html": b"page"})
    assert names(tmp_path) == {"index.html"}
    assert (tmp_path / "index.html").read_text() == "somebody's"


@pytest.mark.parametrize("name", ["../x.md", "/x.md", "..", ".", "", "in/x.md", "x\0.md", 7, None])
def test_a_manifest_that_names_what_lies_elsewhere_is_refused(tmp_path, name):
    folder = tmp_path / "reports"
    (folder / "in").mkdir(parents=True)
    for path in (tmp_path / "x.md", folder / "in" / "x.md"):
        path.write_text("somebody's")
    tampered(folder, files=["a.md", name])
    with pytest.raises(UserError, match=r"manifest.json is not what a report writes"):
        manifest.put(folder, {"a.md": b"a"})
    assert (tmp_path / "x.md").exists() and (folder / "in" / "x.md").exists()
    assert names(folder) == {"in", "manifest.json"}


@pytest.mark.parametrize("content", ["", "[]", '{"name": "an app"}', '{"version": 2, "files": []}'])
def test_what_is_called_like_a_manifest_and_is_none_stays(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match="give another folder, or delete the file"):
        manifest.put(tmp_path, {"a.md": b"a"})
    assert names(tmp_path) == {"manifest.json"}
    assert (tmp_path / "manifest.json").read_text() == content


def test_links_and_folders_are_left_alone(tmp_path):
    folder, outside = tmp_path / "reports", tmp_path / "outside.md"
    outside.write_text("somebody's")
    (folder / "b.md").mkdir(parents=True)
    (folder / "a.md").symlink_to(outside)
    (folder / "c.md").symlink_to(outside)
    tampered(folder, files=["a.md", "b.md", "c.md"])
    manifest.put(folder, {"a.md": b"ours"})
    assert outside.read_text() == "somebody's"
    assert (folder / "a.md").read_text() == "ours" and not (folder / "a.md").is_symlink()
    assert (folder / "c.md").is_symlink() and (folder / "b.md").is_dir()


def test_what_a_report_that_was_stopped_has_written_is_removed_by_the_next(tmp_path, monkeypatch):
    manifest.put(tmp_path, {"a.md": b"a"})
    replace = manifest.replace

    def stop(path, content):
        if path.name == "c.md":
            raise KeyboardInterrupt
        replace(path, content)

    monkeypatch.setattr(manifest, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        manifest.put(tmp_path, {"b.md": b"b", "c.md": b"c"})
    assert named(tmp_path) == {"a.md", "b.md", "c.md"}
    monkeypatch.setattr(manifest, "replace", replace)
    manifest.put(tmp_path, {"d.md": b"d"})
    assert names(tmp_path) == {"d.md", "manifest.json"}


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(UserError, match=r"--reports: .* cannot be written"):
        manifest.put(tmp_path / "reports", {"a.md": b"a"})
