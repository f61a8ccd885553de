"""Path patterns below a root.

`**/`: any folders; `*`, `?` and `[a-z]`: within one name; `{png,jpg}`: one of these. The case of the ending
of a file name does not matter: `*.png` matches `a.PNG`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePosixPath

from intrada.core.errors import UserError

STEM = "{stem}"
_TOKENS = re.compile(r"(\*\*/|\*|\?|\[[^\]]+\]|\{[^{}]*,[^{}]*\})")
_ENDING = re.compile(r"\.(?:\w+|\{[\w,]+\})$")
_WILDCARDS = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
_ALLOWED = "`**/`, `*`, `?`, [a-z] and alternatives such as {png,jpg}, without braces in braces"


def of_option(where: str, key: str, value: object, example: str) -> str:
    """Return the option `value` as a path pattern below the root. Raises UserError if it is not one."""
    if isinstance(value, str) and value:
        path = PurePosixPath(value)
        if not path.is_absolute() and ".." not in path.parts:
            return path.as_posix()
    allowed = f"a path below `root`, such as {example} (`root` itself may be a link)"
    raise UserError(where, f"{key}: {value!r}", allowed, "fix this key")


def fixed_folder(pattern: str) -> str:
    """Return the folders before the first wildcard: `a/b` for a/b/*/x_*.png and for a/b/{stem}.png."""
    return re.split(r"[*?\[{]", pattern)[0].rpartition("/")[0]


@cache
def regex(pattern: str) -> re.Pattern[str]:
    """Convert a pattern to a regular expression. Raises UserError for an invalid one."""
    found = "an unmatched or nested brace" if re.search(r"[{}]", _TOKENS.sub("", pattern)) else ""
    try:
        compiled = re.compile(_translated(pattern), re.DOTALL)
    except re.error as error:
        found = str(error)
    if found:
        raise UserError(f"glob {pattern}", found, _ALLOWED, "fix the pattern in the dataset's options")
    return compiled


def stem(pattern: str, relative: str) -> str:
    """Return a path that `pattern` matches without the fixed folders and the fixed ending of the pattern."""
    folder, ending = fixed_folder(pattern), _fixed_ending(pattern)
    rest = relative.removeprefix(f"{folder}/")
    if "." in ending:
        return re.sub(f"(?:{_translated(ending)})$", "", rest)
    return str(PurePosixPath(rest).with_suffix(""))


def lower_ending(relative: str) -> str:
    """Return a path with the ending of its file name in lower case: `a/B.png` for a/B.PNG."""
    start, dot, ending = relative.rpartition(".")
    return start + dot + ending.lower() if "/" not in ending else relative


def _fixed_ending(pattern: str) -> str:
    """Return what follows the last wildcard; alternatives count as one only if there is no other."""
    tokens = _TOKENS.split(pattern)  # text and wildcards in turn
    if len(tokens) == 1:
        return ""
    wild = [number for number in range(1, len(tokens), 2) if re.match(r"[*?\[]|\{.*[*?\[]", tokens[number])]
    last = wild[-1] if wild else len(tokens) - 2
    return "".join(tokens[last + 1 :])


def _translated(pattern: str) -> str:
    if ending := _ENDING.search(pattern):
        return f"{_plain(pattern[: ending.start()])}(?i:{_plain(ending[0])})"
    return _plain(pattern)


def _plain(pattern: str) -> str:
    return "".join(map(_token, _TOKENS.split(pattern)))


def _token(token: str) -> str:
    if token.startswith("[") and token.endswith("]"):
        return token.replace("[!", "[^", 1)
    if token.startswith("{") and token.endswith("}"):
        return f"(?:{'|'.join(map(_translated, token[1:-1].split(',')))})"
    return _WILDCARDS.get(token) or re.escape(token)
