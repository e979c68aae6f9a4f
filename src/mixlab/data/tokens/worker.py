"""A worker process of tokenizing: `python -m mixlab.data.tokens.worker`, spoken to through its standard streams."""

import os
import pickle
import signal
import sys
from pathlib import Path

from mixlab.config.problems import UserError


def main() -> None:
    """Answer each block of records with its tokens, or with what is wrong, until the streams close."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who asks decides
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    asked = sys.stdin.buffer
    answered = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may speak on it
    from mixlab.data.tokens.encoding import RecordEncoder

    encoder: RecordEncoder | None = None
    chat, folder, backend = pickle.load(asked)
    while True:
        try:
            block = pickle.load(asked)
        except EOFError:
            return
        try:
            encoder = encoder or RecordEncoder(chat, Path(folder), backend)
            answer: object = encoder.encode(block)
        except UserError as error:
            answer = error.problems
        pickle.dump(answer, answered, pickle.HIGHEST_PROTOCOL)
        answered.flush()


if __name__ == "__main__":
    main()
