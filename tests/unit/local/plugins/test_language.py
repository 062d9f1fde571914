"""The parts of the language host that need no engine: interpreters, packages, and what is told of an error."""

import json
import subprocess
import sys

import pytest

from local.plugins import executor, interpreter


def test_without_an_option_a_program_runs_with_the_python_of_the_host(tmp_path):
    assert str(interpreter.for_program(str(tmp_path), {}).executable) == sys.executable


def test_the_option_virtualenv_is_relative_to_the_project(tmp_path):
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert interpreter.for_program(str(tmp_path), {"virtualenv": "env"}).executable == python


def test_a_virtualenv_that_is_not_there_is_named_with_what_makes_it(tmp_path):
    with pytest.raises(interpreter.NoInterpreterError, match=r"env/bin/python does not exist(.|\n)*pulumi install"):
        interpreter.for_program(str(tmp_path), {"virtualenv": "env"})


def test_required_plugins_are_those_of_the_installed_packages():
    found = {package.name: package.version for package in interpreter.for_program(".", {}).packages()}
    assert found["kubernetes"] == interpreter.version_of("pulumi-kubernetes")
    assert {"command", "docker", "random"} <= set(found)


@pytest.mark.parametrize("content", ["{", "[]", '{"resource": false, "name": "x"}'])
def test_a_package_without_a_plugin_requires_none(tmp_path, content):
    (tmp_path / "pulumi_x").mkdir()
    (tmp_path / "pulumi_x" / "pulumi-plugin.json").write_text(content)
    assert interpreter.Interpreter(tmp_path, (tmp_path,)).packages() == []


def test_name_and_version_of_a_plugin_default_to_the_packages(tmp_path):
    (tmp_path / "pulumi_my_cloud").mkdir()
    (tmp_path / "pulumi_my_cloud-1.2.3.dist-info").mkdir()
    (tmp_path / "pulumi_my_cloud" / "pulumi-plugin.json").write_text(json.dumps({"resource": True}))
    (found,) = interpreter.Interpreter(tmp_path, (tmp_path,)).packages()
    assert (found.name, found.version) == ("my-cloud", "1.2.3")


def test_dependencies_that_others_require_are_left_out_unless_asked_for():
    python = interpreter.for_program(".", {})
    direct, all_of_them = ({name.lower() for name, _ in python.dependencies(transitive=wanted)} for wanted in (False, True))
    assert direct < all_of_them
    assert "grpcio" in all_of_them - direct, "pulumi requires it"


def test_the_start_of_the_host_does_not_pay_for_the_whole_sdk():
    program = "from local.plugins import bare; bare.without_sdk(); import local.plugins.language"
    program += "; import sys; print('pulumi.output' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"


def test_plugins_start_from_any_folder_whatever_lies_there(tmp_path):
    for name in ("random.py", "docker.py", "local.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    code = "from local.plugins import bare; bare.without_sdk()"
    code += "; import local.plugins.command, local.plugins.docker, local.plugins.random"
    found = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def failing(path, text):
    path.write_text(text)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the caller's business
        exec(compile(text, str(path), "exec"), {})
    return caught.value


def test_a_traceback_starts_at_the_users_code(tmp_path):
    error = failing(tmp_path / "__main__.py", "def f():\n    return 1 / 0\nf()\n")
    told = executor.describe(error, str(tmp_path))
    assert "ZeroDivisionError: division by zero" in told
    assert "in f" in told
    assert __file__ not in told, "what called the program is not the user's"


def test_a_cause_is_told_with_it(tmp_path):
    error = failing(
        tmp_path / "__main__.py", "try:\n    {}['key']\nexcept KeyError as e:\n    raise ValueError('no key') from e\n"
    )
    told = executor.describe(error, str(tmp_path))
    assert "KeyError: 'key'" in told
    assert "ValueError: no key" in told
    assert __file__ not in told


def test_a_syntax_error_is_told_with_its_line(tmp_path):
    error = failing(tmp_path / "__main__.py", "x = 1\ndef f(:\n")
    told = executor.describe(error, str(tmp_path))
    assert f'File "{tmp_path / "__main__.py"}", line 2' in told
    assert "SyntaxError" in told


@pytest.mark.parametrize("raising", ["from common.errors import UserError as E", "from pulumi import RunError as E"])
def test_an_error_meant_for_the_user_is_told_by_its_text_alone(tmp_path, raising):
    error = failing(tmp_path / "__main__.py", f"{raising}\nclass F(E): pass\nraise F('the port 5000 is taken')\n")
    assert executor.describe(error, str(tmp_path)) == "the port 5000 is taken"
