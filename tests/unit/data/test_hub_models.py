"""A model of the hub, fetched by the library from a hub on this machine, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from hub_server import COMMIT

HERE = Path(__file__).parent
_PROGRAM = """
import json
from mixlab.config.problems import DataError
from mixlab.data.sources.hub import fetch_file, fetch_model, resolve_model_revision
from mixlab.plan.base_model_lock import WANTED
commit = resolve_model_revision("acme/model", "main")
answers = [commit, sorted(path.name for path in fetch_model("acme/model", commit, WANTED).iterdir())]
for ask in (lambda: resolve_model_revision("acme/model", "v9"), lambda: fetch_model("acme/no", commit, WANTED)):
    try:
        answers.append(ask())
    except DataError as error:
        answers.append(str(error))
path = fetch_file("acme/model", commit, "tokenizer.json")
answers.append(path.parent.name + " " + path.name)
try:
    fetch_file("acme/model", commit, "sub/tokenizer.json")
except DataError as error:
    answers.append(str(error))
print(json.dumps(answers))
"""


def test_a_model_is_fetched_at_its_commit_without_pickles_and_code_and_refusals_are_told(tmp_path: Path) -> None:
    server = subprocess.Popen([sys.executable, str(HERE / "hub_server.py")], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        capture_output=True,
        text=True,
        env=kept | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path)},
    )
    server.kill()
    server.wait()
    server.stdout.close()
    assert done.returncode == 0, done.stderr
    commit, files, unknown, nobody, found, absent = json.loads(done.stdout)
    assert found == f"{COMMIT} tokenizer.json"
    assert "hub model acme/model at aaaaaaaaaaaa: no file 'sub/tokenizer.json' is in its repository" in absent
    assert commit == COMMIT
    assert files == ["config.json", "model.safetensors"]
    assert "hub model acme/model at v9: the hub knows no such revision" in unknown
    assert "hub model acme/no at" in nobody
    assert "mend `id`" in nobody
