"""Locustfiles are described correctly with any files next to them, and whatever they print, raise or request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.core.errors import UsageError
from loadtest.fleet.scenario import Request, describe_each, describe_one, locate

USER = """
class One(FastHttpUser):
    @task
    def ask(self):
        self.client.get("/page")
"""
PLAIN = f'"""Plain."""\nfrom locust import FastHttpUser, LoadTestShape, events, tag, task\n{USER}'

NEIGHBOURS = ("cli", "core", "fleet", "lt", "recorder", "recording", "reports", "runs", "scenarios", "users", "utils")


def slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.usefixtures("many_open_files")
def test_a_process_with_many_open_files_can_describe_one(tmp_path: Path) -> None:
    assert describe_one(written(tmp_path, PLAIN)).name == "mine"


def test_neighbours_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file next to the locustfile or in the working folder may have the name of one of our modules."""
    folder = tmp_path / "project"
    for name in NEIGHBOURS[::2]:
        written(folder, "HERE = True\n", f"{name}.py")
    for name in NEIGHBOURS[1::2]:
        written(tmp_path, "HERE = True\n", f"{name}/__init__.py")
    imports = "".join(f"from {name} import HERE\n" for name in NEIGHBOURS)
    path = written(folder, imports + "from loadtest.users.fast_user import FastUser\n" + PLAIN)
    monkeypatch.chdir(tmp_path)
    assert describe_one(path).user_classes == ("One",)


@pytest.mark.parametrize(
    ("file", "imported"),
    [
        ("loadtest/__init__.py", "loadtest"),
        slow("loadtest.py", "loadtest"),
        ("loadtest/users.py", "loadtest.users"),  # a folder without __init__.py; lt has a module of that name
    ],
)
def test_the_users_own_loadtest_package_wins_and_a_sentence_explains_a_failing_import(
    file: str, imported: str, tmp_path: Path
) -> None:
    """The user's package is imported.

    If an import needs our package, a sentence names the user's file that is imported in its place.
    """
    written(tmp_path, "HERE = True\n", file)
    assert describe_one(written(tmp_path, f"from {imported} import HERE\n{PLAIN}")).user_classes == ("One",)
    path = written(tmp_path, f"from loadtest.users.fast_user import FastUser\n{PLAIN}")
    with pytest.raises(UsageError, match=r"is imported instead of it: to use lt's `loadtest\.users.*rename this file"):
        describe_one(path)


@pytest.mark.slow
def test_a_folder_loadtest_that_holds_the_locustfile_leaves_ours_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`loadtest/locustfile.py` is run from the folder above it: the user's own modules and ours are both found."""
    written(tmp_path, "PAGE = '/page'\n", "loadtest/paths.py")
    text = f"from loadtest.paths import PAGE\nfrom loadtest.users.fast_user import FastUser\n{PLAIN}"
    path = written(tmp_path, text, "loadtest/locustfile.py")
    monkeypatch.chdir(tmp_path)
    assert describe_one(path).user_classes == ("One",)


@pytest.mark.slow
def test_a_scenario_may_itself_be_called_loadtest(tmp_path: Path) -> None:
    assert describe_one(written(tmp_path, PLAIN, "loadtest.py")).name == "loadtest"


def test_a_bundled_scenario_runs_with_any_files_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own `loadtest` and `scenarios` folders do not replace the packages of a bundled scenario."""
    from loadtest.fleet.scenario import bundled

    written(tmp_path, "", "loadtest/__init__.py")
    written(tmp_path, "", "scenarios/__init__.py")
    monkeypatch.chdir(tmp_path)
    assert describe_one(bundled()["steady"]).users == 50


def test_output_and_docstrings_of_a_locustfile_are_not_parsed(tmp_path: Path) -> None:
    """There are lists of objects in the docstring, on stdout, on stderr and at the end of the process."""
    noise = "import atexit, sys\nprint('[{\"a\": 1}]')\nprint('[{', file=sys.stderr)\natexit.register(print, '[{}]')\n"
    found = describe_one(written(tmp_path, f'"""Posts [{{"Term": 84}}], [red]."""\n{noise}{PLAIN}'))
    assert found.description == 'Posts [{"Term": 84}], [red].'


@pytest.mark.parametrize(
    ("text", "expected", "frames"),
    [
        ("import os\n\nraise RuntimeError('row [{3}] [bold]')\n", "RuntimeError: row [{3}] [bold]", 1),
        ("def broken(:\n    pass\n", "SyntaxError: invalid syntax", 0),
        slow("import helper\n", "ZeroDivisionError: division by zero", 2),
        ("import helper_broken\n", "SyntaxError: '(' was never closed", 1),
        slow("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'", 1),
        slow("import sys\nsys.exit(3)\n", "SystemExit: 3", 1),
        ("import os\nprint('so long', flush=True)\nos._exit(9)\n", "its process ended with status 9", None),
        slow("raise KeyboardInterrupt\n", "KeyboardInterrupt", 1),
    ],
)
def test_an_error_of_the_authors_own_is_shown_from_their_file_on(
    text: str, expected: str, frames: int | None, tmp_path: Path
) -> None:
    """The exit code is 2, and Python's own traceback is shown.

    It contains the frames of the author's code and no frame of the loader.
    """
    written(tmp_path, "x = 1 / 0\n", "helper.py")
    written(tmp_path, "f(\n", "helper_broken.py")
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        describe_one(path)
    said = str(caught.value)
    assert said.startswith(f"{path} could not be imported:")
    assert expected in said
    assert "importlib" not in said
    assert "load_locustfile" not in said
    if frames is None:
        assert "so long" in said
    else:
        assert said.count('  File "') == frames + ("SyntaxError" in expected)


@pytest.mark.slow
def test_a_thread_that_a_locustfile_leaves_running_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loadtest.fleet import scenario

    monkeypatch.setattr(scenario, "FAREWELL_S", 0.2)
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    assert describe_one(written(tmp_path, thread + PLAIN)).user_classes == ("One",)


SHAPES = """
class Short(LoadTestShape):
    def tick(self):
        return None


class Long(LoadTestShape):
    def tick(self):
        return 1, 1
"""
TWO = PLAIN + (
    "\n\nclass Two(FastHttpUser):\n    host = 'http://two'\n\n    @tag('slow', 'b')\n    @task\n    def ask(self):\n"
    "        pass\n"
)


def test_shapes_classes_and_tags_are_chosen_by_name(tmp_path: Path) -> None:
    """An error names the missing user class or tag and lists the existing ones. Several shapes require a choice."""
    path = written(tmp_path, TWO + SHAPES)
    wrong: dict[str, dict[str, object]] = {
        "--shape Short or --shape Long": {},
        "`--shape Tall`: mine.py has Short, Long": {"shape": "Tall"},
        "`--user-class Six`: mine.py has One, Two": {"shape": "none", "user_classes": ("Six",)},
        "no task of mine.py is left. Its tags are b, slow": {"shape": "none", "tags": ("fast",)},
        "`-- --processes`: it applies to the processes of Locust": {"shape": "none", "arguments": ("--processes", "2")},
        "`-- --users`: pass it to lt itself, as `--users …`": {"shape": "none", "arguments": ("--users", "2")},
        "`One`: not an argument of lt": {"shape": "none", "arguments": ("One",)},
        "`--nosuch`: mine.py has no such argument": {"shape": "none", "arguments": ("--nosuch",)},
    }
    answers = describe_each([(path, Request.model_validate(asked)) for asked in wrong.values()])
    assert [sentence in str(answer) for sentence, answer in zip(wrong, answers, strict=True)] == [True] * 8, answers
    found = describe_one(path, shape="Long", user_classes=("Two",), tags=("slow",))
    assert (found.shape, found.user_classes, found.hosts) == ("Long", ("Two",), {"Two": "http://two"})
    assert found.arguments == ("Two", "--tags", "slow")


def test_locusts_own_configuration_counts_for_users_and_tasks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings from files and the environment are used and mentioned. If they are not used, a message says so.

    The command line has priority.
    """
    own = "@events.init_command_line_parser.add_listener\ndef add(parser):\n"
    own += "    parser.add_argument('--tenant', env_var='TENANT', required=True)\n"
    path = written(tmp_path, PLAIN + own)
    (tmp_path / "locust.conf").write_text(
        "users = 7\nrun-time = 9s\nheadless = true\nweb-port = 99999999\ntenant = a\n"
    )
    (tmp_path / "pyproject.toml").write_text("[tool.locust]\nspawn-rate = 2\nprocesses = 4\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCUST_MODE_WORKER", "true")
    monkeypatch.setenv("LOCUST_RUN_TIME", "8s")
    found = describe_one(path, spawn_rate=3.0)
    assert (found.users, found.spawn_rate, found.duration_s) == (7, 3.0, 8.0)
    said = " | ".join(found.notes)
    for note in (
        "users = 7",
        "tenant = a",
        "lt does not use `headless`, `web-port`",
        "`processes`",
        "LOCUST_MODE_WORKER",
    ):
        assert note in said, json.dumps(found.notes)


def test_a_target_and_a_locustfile_of_locusts_configuration_are_left_out_with_the_option_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These two settings would select a different server and file than the options."""
    path = written(tmp_path, PLAIN)
    (tmp_path / "locust.conf").write_text("locustfile = other.py\nhost = http://one\nheadless = true\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCUST_HOST", "http://two")
    found = describe_one(path)
    assert found.name == "mine"
    assert set(found.notes) == {
        "locust.conf: lt does not use `headless`, because lt runs Locust's processes itself",
        "locust.conf: `locustfile` is not used: name it with --scenario",
        "locust.conf: `host` is not used: name it with --target",
        "the environment: `LOCUST_HOST` is not used: name it with --target",
    }


def test_a_folder_is_no_scenario_and_its_files_are_named(tmp_path: Path) -> None:
    """Locust would merge the files of the folder."""
    for name in ("b.py", "a.py", "_part.py", "notes.txt"):
        written(tmp_path, PLAIN, name)
    with pytest.raises(UsageError, match=f"is a folder.*: {tmp_path}/a.py or {tmp_path}/b.py. To run several"):
        locate(str(tmp_path))


@pytest.mark.slow
def test_a_user_class_without_a_weight_leaves_nothing_to_run(tmp_path: Path) -> None:
    path = written(tmp_path, PLAIN.replace("    @task", "    weight = 0\n\n    @task"))
    with pytest.raises(UsageError, match="There are no users with weight > 0"):
        describe_one(path)
