"""--from STUDY.toml: what the options hold, in a file."""

from __future__ import annotations

import pytest
from support.grid import ROOT, in_process, records

from bench.errors import UserError
from bench.grid_file import parse
from bench.grid_run import request

WHOLE = """
study = "mine"
datasets = ["beauty-twin", "toys-twin"]
backbones = "sasrec"
samplers = ["uniform", "dns+"]
seeds = 2
preset = "smoke"
split = "leave-one-out"
data-dir = "{folder}"
plugins = ["{folder}/own.py"]
tune = 3
threads = 2
force-stale = true
grid = false
[settings]
epochs = 3
"*.dropout" = 0.5
"dns+.M" = [2, 3]
[settings.sasrec]
layers = 1
"""


def written(folder, text):
    path = folder / "my-study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_holds_what_options_hold(tmp_path):
    path = written(tmp_path, WHOLE.format(folder=tmp_path))
    same = parse([
        "--study", "mine", "--datasets", "beauty-twin", "toys-twin", "--backbones", "sasrec",
        "--samplers", "uniform", "dns+", "--seeds", "2", "--preset", "smoke",
        "--split", "leave-one-out", "--data-dir", str(tmp_path), "--plugin", f"{tmp_path}/own.py",
        "--tune", "3", "--threads", "2", "--force-stale", "--set", "epochs=3", "*.dropout=0.5",
        "dns+.M=[2, 3]", "sasrec.layers=1",
    ])  # fmt: skip
    assert vars(parse(["--from", str(path)])) == vars(same)


OWN_LOG = """
datasets = ["log.csv"]
columns = "user=who,item=what"
where = ["event=buy", "stars>=2"]
min-count = 3
repeats = "first"
keep-models = true
budget = "1h30m"
"""


def test_a_file_says_how_a_log_is_read_and_how_much_time_there_is(tmp_path):
    same = parse([
        "--study", "my-study", "--datasets", "log.csv", "--columns", "user=who,item=what",
        "--where", "event=buy", "--where", "stars>=2", "--min-count", "3", "--repeats", "first",
        "--keep-models", "--budget", "90m",
    ])  # fmt: skip
    assert vars(parse(["--from", str(written(tmp_path, OWN_LOG))])) == vars(same)
    assert same.budget == 5400


def test_the_command_line_comes_first_and_settings_add_up(tmp_path):
    path = written(tmp_path, WHOLE.format(folder=tmp_path).replace('study = "mine"', ""))
    given = ["--seeds", "1", "--threads", "1", "--set", "epochs=4", "dim=8", "--plugin", "more"]
    options = parse([f"--from={path}", *given])
    assert (options.seeds, options.threads, options.tune) == (1, 1, 3)
    assert options.set[-2:] == ["epochs=4", "dim=8"] and len(options.set) == 6
    assert options.plugin == [f"{tmp_path}/own.py", "more"]
    assert options.study == "my-study"
    assert options.datasets == ["beauty-twin", "toys-twin"]


def test_a_study_is_trained_from_its_file(tmp_path):
    path = written(
        tmp_path,
        'preset = "smoke"\ndatasets = "beauty-twin"\nbackbones = "sasrec"\nsamplers = "dns"\n'
        'workers = 1\n[settings]\nepochs = 1\ndim = 8\nwindow = 8\nN = 10\n"dns.N" = [5, 6]\n',
    )
    assert in_process(tmp_path, "--from", str(path))[0] == 0
    found = records(tmp_path, "my-study")
    assert sorted(each["config"]["sampler"]["hyper"]["N"] for each in found.values()) == [5, 6]


def test_the_file_of_the_documentation_plans(tmp_path):
    from bench.studies.planning import make_plan

    plan = make_plan(request(parse(["--from", str(ROOT / "docs" / "study.toml")])))
    counts = [cell.sampler.name for cell in plan.cells if cell.backbone.name == "sasrec"]
    assert {name: counts.count(name) for name in counts} == {"uniform": 2, "dns+": 2, "mdcns": 12}
    text = (ROOT / "docs" / "study.toml").read_text(encoding="utf-8")
    commented = [line[2:] for line in text.splitlines() if line.startswith("# ") and " = " in line]
    assert len(commented) == 11
    options = parse(["--from", str(written(tmp_path, "\n".join(commented)))])
    assert (options.split, options.tune) == ("leave-one-out", 20)
    assert (options.where, options.budget) == (["event=purchase"], 7200)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampler = 'dns'", "unknown key 'sampler'; did you mean samplers"),
        ("data_dir = 'x'", "unknown key 'data_dir'; did you mean data-dir"),
        ("dry-run = true", "unknown key 'dry-run'"),
        ("from = 'x'", "unknown key 'from'"),
        ("seeds = '2'", "seeds is '2'; expected a whole number"),
        ("budget = 30", "budget is '30'; expected a text"),
        ("budget = 'soon'", "argument --budget: 'soon' is no time"),
        ("seeds = true", "seeds is 'True'; expected a whole number"),
        ("seeds = 2.0", "seeds is '2.0'; expected a whole number"),
        ("seeds = 0", "argument --seeds: 0: must be at least 1"),
        ("table = 8", "argument --table: invalid choice: 8"),
        ("preset = 'quik'", "argument --preset: invalid choice: 'quik'"),
        ("samplers = [1]", "expected a list of texts"),
        ("samplers = []", "argument --samplers: expected at least one argument"),
        ("split = ['user']", "expected a text"),
        ("grid = 'yes'", "grid is 'yes'; expected true or false"),
        ("settings = 3", "settings is '3'; expected a table"),
        ("[settings]\nepochs = 2020-01-01", "settings, epochs is"),
        ("[settings]\n'dns.N' = [[1]]", "settings, dns.N is"),
        ("seeds = ", "no TOML: Invalid value"),
        ("seeds = 1\nseeds = 2", "no TOML: Cannot overwrite a value"),
        ("all = true\ntable = 3", "not allowed with argument"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_error_that_names_it(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(UserError) as error:
        parse(["--from", str(path)])
    said = str(error.value)
    assert message in said and said.startswith(f"--from {path}: ") and "\n" not in said


def test_a_file_that_is_not_there_or_no_text_is_one_error(tmp_path):
    path = tmp_path / "x.toml"
    for content, message in (
        (None, "No such file"),
        (b"\xff", "no TOML"),
        (b"a=1\n" * 2**19, "longer"),
    ):
        if content is not None:
            path.write_bytes(content)
        status, said = in_process(tmp_path, "--from", str(path))
        assert status == 2 and message in said and said.count("\n") == 1
