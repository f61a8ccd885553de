"""What must not stand in the code: whatever turns a file, or a word of a params file, into a program that runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from string import Formatter

# Modules whose files are programs; their mere import is a finding.
MODULES = {"cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve"}
# Never, whether called or handed on.
NAMES = {
    "eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "builtins.compile",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "pandas.read_pickle", "torch.jit.load", "torch.hub.load",
    "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "runpy.run_path", "tempfile.mktemp", "jinja2.Template", "markupsafe.Markup",
}  # fmt: skip
FAMILIES = re.compile(r"os\.(exec|spawn)[lv]p?e?")
PROCESSES = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}
CONDITIONAL = {"torch.load", "numpy.load", "yaml.load", "yaml.load_all", "jinja2.Environment", *PROCESSES}
SAFE_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader"}


def python(source: str) -> list[str]:
    """`line N: what` for each finding in a Python module."""
    return sorted(f"line {line}: {what}" for line, what in _Module(ast.parse(source)).findings())


def rules(source: str) -> list[str]:
    """`line N: what` in a Snakefile: unquoted fields of shell commands, and what `python` finds, by name alone."""
    found = [
        f"line {number}: {name}"
        for number, line in enumerate(source.splitlines(), 1)
        for name in sorted(NAMES | CONDITIONAL | MODULES)
        if re.search(rf"(?<![\w.]){re.escape(name)}\b\s*(\(|import|$)", line.split("#")[0])
    ]
    return found + [f"line {number}: {what}" for number, what in _shell_fields(source)]


class _Module:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.names = dict(_aliases(tree))
        self.called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        # `Popen[str]` is a type and starts nothing
        self.called |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
        self.safe = SAFE_LOADERS | {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and {self.dotted(base) for base in node.bases} & SAFE_LOADERS
        }

    def findings(self) -> Iterator[tuple[int, str]]:
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from ((node.lineno, name) for name in sorted(_imported(node) & MODULES))
            elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
                name = self.dotted(node)
                handed_on = name in CONDITIONAL and id(node) not in self.called
                if name in NAMES or FAMILIES.fullmatch(name) or handed_on:
                    yield node.lineno, name
            elif isinstance(node, ast.Call) and (what := self.unsafe(node)):
                yield node.lineno, what

    def dotted(self, node: ast.AST) -> str:
        """`yaml.load` for what the module calls so, however it was imported; "" for what has no name."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        return ""

    def unsafe(self, call: ast.Call) -> str:
        """What is wrong with a call that is right only with certain arguments, or ""."""
        name, given = self.dotted(call.func), {word.arg: word.value for word in call.keywords}
        wrong = False
        if name == "torch.load":
            wrong = not _is(given.get("weights_only"), True)
        elif name == "numpy.load":
            wrong = len(call.args) > 2 or not _is(given.get("allow_pickle", ast.Constant(False)), False)
        elif name in ("yaml.load", "yaml.load_all"):
            loader = given.get("Loader", call.args[1] if len(call.args) > 1 else ast.Constant(None))
            wrong = self.dotted(loader) not in self.safe
        elif name in PROCESSES:
            wrong = None in given or not _is(given.get("shell", ast.Constant(False)), False)
        elif name == "jinja2.Environment":
            wrong = not _is(given.get("autoescape"), True)
        elif name == "getattr" and len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
            name = f"{self.dotted(call.args[0])}.{call.args[1].value}"
            wrong = name in NAMES | CONDITIONAL
        elif isinstance(call.func, ast.Attribute) and call.func.attr in ("eval", "query"):
            name, wrong = f"{call.func.attr} of a string", bool(call.args)  # of pandas; a module's takes none
        return name if wrong else ""


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:  # `import a.b` binds a
                bound = name.name if name.asname else name.name.split(".")[0]
                yield name.asname or bound, bound
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((name.asname or name.name, f"{node.module}.{name.name}") for name in node.names)


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
    return {name.split(".")[0] for name in names}


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _shell_fields(source: str) -> Iterator[tuple[int, str]]:
    """The fields of `shell:` commands that are not quoted (`{log:q}`), and commands that are no plain string."""
    for block in re.finditer(r"^( *)shell:(.*\n(?:\1 +.*\n|\n)*)", source + "\n", re.M):
        number = source[: block.start()].count("\n") + 1
        try:
            command = ast.literal_eval(f"({block[2].strip()})")
        except (SyntaxError, ValueError):
            yield number, "a shell command that is no plain string"
            continue
        for _, field, how, _ in Formatter().parse(command):
            if field is not None and how != "q":
                yield number, f"{{{field}}} without :q"
