"""Tokenizing against the bare library and its peers; see tokenizing.py, which holds the program.

    python performance/tokenize.py --quick
    python performance/tokenize.py --peers PYTHON

This file has the name of a module of the standard library, and Python puts a program's folder before that library.
Whoever imports it under that name is therefore given the library's.
"""

import sys

if __name__ == "__main__":
    import tokenizing

    tokenizing.main()
else:
    import sysconfig
    from importlib.util import module_from_spec, spec_from_file_location

    _spec = spec_from_file_location("tokenize", f"{sysconfig.get_path('stdlib')}/tokenize.py")
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[__name__] = module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[__name__])
