"""What `mixlab merge --install` puts into a clone: settings of git's merge, and hooks after a merge and a checkout."""

import shlex
import stat
import subprocess
import sys
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import run_git

SETTINGS = {
    "merge.mixlab.name": "files that mixlab derives from studies and pointers",
    "merge.mixlab.driver": "true",
    "merge.renames": "false",
}
"""The driver takes our side without a conflict; a hook rewrites the files right afterwards.

Pointers look alike: where one goes and another comes, git would take it for a rename, and merge the two. A git that
does not heed the last setting (2.39) leaves a conflict, which `mixlab merge` settles.
"""

_MARK = "# mixlab merge --install"
_HERE = """\
# in a linked worktree git names its own folder alone, and would take the folder we go to for the worktree's top
GIT_DIR=$(git rev-parse --absolute-git-dir) && GIT_WORK_TREE=$(git rev-parse --show-toplevel) || exit 1
export GIT_DIR GIT_WORK_TREE"""
_AFTER_MERGE = """\
#!/bin/sh
{mark}: derived files follow what was merged, in the merge's own commit
{here}
cd {folder} || exit 1
# after a fast-forward or --squash there is no merge, but there may be other pointers
if [ "$1" != 0 ] || ! git rev-parse --quiet --verify HEAD^2 > /dev/null ||
  git reflog -1 --format=%gs | grep -q Fast-forward; then
  {command} --check
  exit 0
fi
# what is not committed is in no merge, and what follows from it must not be in the merge's commit
changed=$(git -c core.quotepath=off status --porcelain --untracked-files=all -- {inputs} | sed 6q)
if [ -n "$changed" ]; then
  echo 'mixlab: not committed, so plans, receipts, tables and dvc.lock stay as git merged them;' >&2
  echo 'commit or undo it, then `mixlab merge`:' >&2
  echo "$changed" >&2
  {command} --check
  exit 0
fi
{command}
code=$?
git diff --cached --quiet && exit $code
# git still counts itself in the merge here, so that `git commit --amend` is refused
sign=
[ "$(git config --bool commit.gpgsign)" = true ] && sign=-S
parents=$(git show -s --format=%P HEAD | sed 's/[^ ][^ ]*/-p &/g')
merged=$(git show -s --format=%B HEAD | git commit-tree $sign $parents "$(git write-tree)") || exit 1
git update-ref -m "mixlab merge: derived files" HEAD "$merged" || exit 1
exit $code
"""
_AFTER_CHECKOUT = """\
#!/bin/sh
{mark}: says whose bytes are here, where another branch has pointers to others
[ "$3" = 1 ] && [ "$1" != "$2" ] || exit 0
{here}
cd {folder} 2> /dev/null && [ -f config.yaml ] || exit 0
{command} --check
# git would take another code for a failed checkout
exit 0
"""
_INPUTS = "config.yaml sources.lock studies tracked discarded"
"""What derived files follow from; code is left out, of which every commit has its own."""
HOOKS = {"post-merge": _AFTER_MERGE, "post-checkout": _AFTER_CHECKOUT}


def install_driver(root: Path) -> list[Path]:
    """Name the merge driver to git and put the hooks in their places; return the hooks.

    Raises ArtifactError, and changes nothing, where there is no git repository, another hook already, or a folder of
    hooks that may serve other repositories as well.
    """
    if run_git(root, "rev-parse", "--git-dir") is None:
        raise ArtifactError(f"{root}: no git repository; run `git init` in it")
    command = f"{shlex.quote(sys.executable)} -m mixlab.cli merge"
    folder = _find_folder(root, command)
    hooks = {folder / name: text for name, text in HOOKS.items()}
    for hook in hooks:
        if hook.is_file() and _MARK not in hook.read_text(encoding="utf-8"):
            line = command if hook.name == "post-merge" else f"{command} --check"
            raise ArtifactError(f"{hook}: another hook is there; add the line `{line}` to it")
    for name, value in SETTINGS.items():
        subprocess.run(["git", "-C", str(root), "config", name, value], check=True)
    folder.mkdir(parents=True, exist_ok=True)
    inside = (run_git(root, "rev-parse", "--show-prefix") or "").strip() or "."
    for hook, text in hooks.items():
        hook.write_text(
            text.format(mark=_MARK, here=_HERE, folder=shlex.quote(inside), command=command, inputs=_INPUTS),
            encoding="utf-8",
        )
        hook.chmod(hook.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return list(hooks)


def _find_folder(root: Path, command: str) -> Path:
    """Find the folder of the repository's own hooks."""
    folder, common, top = (
        root / (run_git(root, "rev-parse", *asked) or "").strip()
        for asked in (("--git-path", "hooks"), ("--git-common-dir",), ("--show-toplevel",))
    )
    if not any(folder.resolve().is_relative_to(place.resolve()) for place in (common, top)):
        raise ArtifactError(
            f"git's core.hooksPath is {folder}, which may serve other repositories, so nothing was written; add "
            f"`{command}` to a post-merge hook there, or `git config core.hooksPath .git/hooks` for this one"
        )
    return folder
